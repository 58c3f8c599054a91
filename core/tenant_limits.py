"""What one tenant may do: its own bound where the settings name one, else that of all."""

from core.settings import Settings


def upload_limit(settings: Settings, tenant: str) -> int:
    """Bytes of one upload or source: the smaller of the tenant's bound and that of all."""
    own = settings.tenant(tenant).upload
    return settings.limits.upload if own is None else min(own, settings.limits.upload)


def request_limit(settings: Settings, tenant: str) -> int | None:
    """Requests a minute; None: no bound."""
    own = settings.tenant(tenant).requests_per_minute
    return settings.limits.requests_per_minute if own is None else own


def stream_limit(settings: Settings, tenant: str) -> int:
    """Events and long polls that are open at once in one process."""
    own = settings.tenant(tenant).event_streams
    return settings.limits.event_streams if own is None else own


def uploads_limit(settings: Settings, tenant: str) -> int:
    """Uploads under way at once in one process."""
    own = settings.tenant(tenant).uploads
    return settings.limits.uploads if own is None else own
