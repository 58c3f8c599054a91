"""An adapter as it is given to `submit`: files, a folder, an archive, bytes, a place in S3, an
upload, or the input of an earlier job."""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from safelora.errors import UsageError
from safelora.multipart import FilePart, Piece, multipart
from safelora.wire import Call

ADAPTER_MODEL: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
PARTS: Final = ("adapter", "config", "archive")
PLACES: Final = ("s3://", "upload:", "job:")
"""What a text begins with by which the gate finds the adapter itself."""
_QUIET_SECONDS: Final = 300.0  # a large upload is read, hashed and stored before the answer

Source = str | os.PathLike[str] | bytes | Sequence[str | os.PathLike[str]] | Mapping[str, Any]


def order(
    source: Source,
    *,
    alignment: str | None,
    policy: Mapping[str, Any] | None,
    metadata: Mapping[str, str] | None,
    destination: str | None,
    callback_url: str | None,
    idempotency_key: str | None,
) -> Call:
    """The request that makes a job. Raises `UsageError` for what is no adapter, or `OSError`."""
    texts = {"alignment": alignment, "destination": destination, "callback_url": callback_url}
    given = {name: text for name, text in texts.items() if text is not None}
    objects = {"policy": policy, "metadata": metadata}
    some = {name: dict(value) for name, value in objects.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    path = ("v1", "jobs")
    if isinstance(source, str) and source.startswith(PLACES):
        body = {"source": source, **given, **some}
        return Call("POST", path, headers=headers, json=body, quiet=_QUIET_SECONDS)
    fields = given | {name: json.dumps(value, allow_nan=False) for name, value in some.items()}
    parts = multipart(fields, _files(source))
    return Call("POST", path, headers=headers, body=parts, quiet=_QUIET_SECONDS)


def _files(source: Source) -> Mapping[str, Piece]:
    if isinstance(source, bytes):
        return {"archive": source}
    if isinstance(source, Mapping):
        return _named(source)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _pair_in(path) if path.is_dir() else _archive(path)
    return _pair([Path(each) for each in source])


def _named(parts: Mapping[str, Any]) -> Mapping[str, Piece]:
    if strangers := sorted(set(parts) - set(PARTS)):
        raise UsageError(f"there is no part {strangers[0]!r}: the parts are {', '.join(PARTS)}")
    return {
        name: bytes(part) if isinstance(part, bytes | bytearray) else _file(Path(part))
        for name, part in parts.items()
    }


def _pair_in(folder: Path) -> Mapping[str, Piece]:
    """The two files alone: whatever else lies there stays there."""
    pair = [folder / ADAPTER_MODEL, folder / ADAPTER_CONFIG]
    missing = [path.name for path in pair if not path.is_file()]
    if missing:
        raise UsageError(
            f"{folder} holds no {' and no '.join(missing)}: name the files, or an archive of them"
        )
    return _pair(pair)


def _pair(paths: Sequence[Path]) -> Mapping[str, Piece]:
    by_kind = {path.suffix.lower(): path for path in paths}
    if len(paths) == 1:
        return _archive(paths[0])
    if len(paths) != 2 or set(by_kind) != {".safetensors", ".json"}:
        raise UsageError("files are one .safetensors and one .json, or one archive")
    return {"adapter": _file(by_kind[".safetensors"]), "config": _file(by_kind[".json"])}


def _archive(path: Path) -> Mapping[str, Piece]:
    if path.suffix.lower() in (".safetensors", ".json"):
        raise UsageError(f"{path} is one of two files: give both, or the folder that holds them")
    return {"archive": _file(path)}


def _file(path: Path) -> FilePart:
    if not path.is_file():
        raise UsageError(f"{path} is no file and no folder")
    return FilePart(path, path.stat().st_size)
