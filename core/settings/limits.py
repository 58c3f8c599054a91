"""Bounds that a tenant may have for itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.settings import Settings


def upload_limit(settings: "Settings", tenant: str) -> int:
    """Bytes that one upload of this tenant may have."""
    own = settings.tenant(tenant).upload
    return settings.limits.upload if own is None else min(own, settings.limits.upload)
