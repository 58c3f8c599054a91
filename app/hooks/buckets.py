"""Events of a bucket: which objects were put, whoever tells it."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from core.event_templates import field_of
from core.s3_places import S3Uri, parse_s3
from core.store.layout import INPUT_FILES

_FILER_ROOT: Final = "/buckets/"
_FILER_PUTS: Final = frozenset({"create", "update", "rename"})


def adapter_folders(body: Any, prefix: str) -> list[S3Uri]:
    """The folders under `prefix` that a file of an adapter was just put into, each once.

    The body is an S3 event (`Records`, as AWS and MinIO send it), one of SeaweedFS's filer, or one
    of S3 on EventBridge; in another there are none.
    """
    folders: dict[S3Uri, None] = {}
    for bucket, key in _objects(body):
        folder, _, name = key.rpartition("/")
        uri = parse_s3(f"s3://{bucket}/{key}")
        place = S3Uri(bucket, f"{folder}/")
        if (
            uri == S3Uri(bucket, key)
            and folder
            and name in INPUT_FILES
            and str(place).startswith(prefix)
        ):
            folders[place] = None
    return list(folders)


def _objects(body: Any) -> Iterator[tuple[str, str]]:
    """(bucket, key) of each object that was put. Keys are the uploader's: nothing is sure yet."""
    found = [*_records(body), _filer(body), _eventbridge(body)]
    for pair in found:
        if pair is not None and all(isinstance(text, str) for text in pair):
            yield pair


def _records(body: Any) -> list[tuple[Any, Any]]:
    records = field_of(body, "Records")
    found = []
    for record in records if isinstance(records, list) else []:
        name, key = field_of(record, "eventName"), field_of(record, "s3.object.key")
        if isinstance(key, str) and isinstance(name, str) and "ObjectCreated:" in name:
            found.append((field_of(record, "s3.bucket.name"), unquote_plus(key)))
    return found


def _filer(body: Any) -> tuple[Any, Any] | None:
    entry, parent = field_of(body, "message.new_entry"), field_of(body, "message.new_parent_path")
    kind, name = field_of(body, "event_type"), field_of(entry, "name")
    if not all(isinstance(text, str) for text in (kind, parent, name)):
        return None
    path = f"{parent}/{name}"
    if kind not in _FILER_PUTS or _is_folder(entry) or not path.startswith(_FILER_ROOT):
        return None
    bucket, _, key = path.removeprefix(_FILER_ROOT).partition("/")
    return bucket, key


def _is_folder(entry: Any) -> bool:
    return field_of(entry, "is_directory") is True


def _eventbridge(body: Any) -> tuple[Any, Any] | None:
    if field_of(body, "detail-type") != "Object Created":
        return None
    return field_of(body, "detail.bucket.name"), field_of(body, "detail.object.key")
