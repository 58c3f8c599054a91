"""From the text of a record to the files of a checkpoint."""

from core.checkpoint_places import allowed_place, checkpoint_buckets
from core.errors import AlignmentError, RequestError
from core.hub_places import HubUri
from core.s3_places import S3Uri
from core.settings import AlignmentSettings
from core.store.settings import StoreSettings
from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.checkpoint_files.folder import FolderFiles


def open_files(place: str, settings: AlignmentSettings, store: StoreSettings) -> CheckpointFiles:
    """The files at a path, `s3://bucket/prefix/` or `hf://org/name@revision`, to be closed by the
    caller. S3 and the hub are asked what lies there now.

    The record was allowed when it was made; the settings say what is allowed now. Raises
    `AlignmentError` (`source_not_allowed`, `source_invalid`, `source_not_found`,
    `source_unreadable`, `source_not_flat`, `hub_not_installed`) or `StoreError`
    (`source_unavailable`).
    """
    try:
        found = allowed_place(place, "the checkpoint", settings, store)
    except RequestError as error:
        raise AlignmentError(error.message, code=error.code) from error
    if isinstance(found, S3Uri):
        # Imported here, as the hub's below: neither is needed for folders, and both take long.
        from worker.alignment.checkpoint_files.s3 import S3Files

        return S3Files(found, checkpoint_buckets(settings, store))
    if isinstance(found, HubUri):
        return _hub_files(found, settings)
    return FolderFiles(found)


def _hub_files(uri: HubUri, settings: AlignmentSettings) -> CheckpointFiles:
    try:
        from worker.alignment.checkpoint_files.hub import HubFiles
    except ImportError as error:
        raise AlignmentError(
            f"{uri} cannot be read: the worker has no huggingface_hub. Install it there, or"
            " safelora-gate[worker], which brings it",
            code="hub_not_installed",
        ) from error
    return HubFiles(uri, settings)
