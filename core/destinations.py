"""Folders in S3 that results are brought to: which are a tenant's, and how they are reached."""

from core.errors import Forbidden, Unprocessable
from core.s3_places import S3Places, S3Uri, folders_for, parse_s3
from core.settings import Settings

MANIFEST = "safelora.json"
"""Put last of all, once: a reader who waits for it never sees half of a result."""


def destinations_of(settings: Settings, tenant: str) -> S3Places:
    """The folders that this tenant's results may be brought to."""
    general, own = settings.destinations, settings.tenant(tenant).destinations
    allow = general.s3_allow if own is None else own
    return S3Places(folders_for(tenant, allow), general.s3, settings.store)


def destination_uri(settings: Settings, tenant: str, text: str) -> S3Uri:
    """`s3://bucket/folder/`, as far as this tenant's results may be brought there now.

    Raises `Unprocessable` (`destination_invalid`) or `Forbidden` (`destination_not_allowed`).
    """
    uri = parse_s3(text)
    if uri is None or not uri.is_folder:
        raise Unprocessable(
            "the destination is not of the form s3://bucket/folder/, with a / at its end",
            code="destination_invalid",
            field="destination",
        )
    if not destinations_of(settings, tenant).allows(uri):
        raise Forbidden(
            "results may not be brought there: ask the operator to allow the folder"
            " (SAFELORA_DESTINATIONS__S3_ALLOW)",
            code="destination_not_allowed",
            field="destination",
        )
    return uri
