"""The object store: the truth about every job and alignment (see `base`)."""

from core.store.base import ObjectStore
from core.store.local import LocalStore
from core.store.settings import StoreSettings


def open_store(settings: StoreSettings) -> ObjectStore:
    """The store that `settings` describe. Reaches for nothing yet: see `ObjectStore.check`."""
    if settings.kind == "local" or settings.s3 is None:
        return LocalStore(settings.path)
    # Imported here: boto3 takes half a second and 30 MB that a local store need not pay.
    from core.store.s3 import S3Store

    return S3Store(settings.s3)
