"""Which tensors a checkpoint's files hold and where their bytes lie, from the headers alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from core.canonical import parse_json_strictly
from core.errors import AlignmentError
from core.safetensors_header import (
    CHECKPOINT_DTYPES,
    LENGTH_BYTES,
    HeaderError,
    header_length,
    parse_header,
)
from worker.alignment.checkpoint_files.base import CheckpointFiles

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_INDEX_BYTES = 64 * 2**20
CHUNK = 4 * 2**20  # bytes in memory at a time, however large a tensor is


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it lies in a file: `start` to `end`, counted from the file's first byte."""

    key: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def stored_tensors(files: CheckpointFiles) -> dict[str, StoredTensor]:
    """Every tensor by its name, file by file in the order of their bytes. Raises `AlignmentError`
    for what is missing, pickled or unreadable."""
    found: dict[str, StoredTensor] = {}
    for file in _weight_files(files):
        for tensor in _tensors(files, file):
            if tensor.key in found:
                raise AlignmentError(
                    f"{tensor.key!r} lies in two files of {files.place}",
                    code="checkpoint_ambiguous",
                )
            found[tensor.key] = tensor
    return found


def read_small(files: CheckpointFiles, name: str, limit: int) -> bytes:
    """A whole file of `limit` bytes at most. Raises `AlignmentError`."""
    if files.sizes[name] > limit:
        raise AlignmentError(
            f"{name} of {files.place} has {files.sizes[name]} bytes; {limit} are accepted",
            code="checkpoint_unreadable",
        )
    buffer = bytearray(files.sizes[name])
    with files.open(name) as stream:
        _fill(memoryview(buffer), stream, f"{name} of {files.place}")
    return bytes(buffer)


def chunks(files: CheckpointFiles, tensor: StoredTensor, size: int = CHUNK) -> Iterator[memoryview]:
    """The tensor's bytes, `size` at a time, each chunk good until the next is asked for.

    Raises `AlignmentError` where the file ends before the tensor does.
    """
    left = tensor.end - tensor.start
    if not left:
        return
    buffer = memoryview(bytearray(min(size, left)))
    with files.open(tensor.file, tensor.start, tensor.end) as stream:
        while left:
            chunk = buffer[:left]
            _fill(chunk, stream, f"{tensor.file} of {files.place}")
            yield chunk
            left -= len(chunk)


def _fill(buffer: memoryview, stream: BinaryIO, what: str) -> None:
    filled = 0
    while filled < len(buffer):
        read = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]
        if not read:
            raise AlignmentError(
                f"{what} ends before its tensors do: it was cut after it was opened",
                code="checkpoint_unreadable",
            )
        filled += read


def _tensors(files: CheckpointFiles, file: str) -> list[StoredTensor]:
    size = files.sizes[file]
    try:
        with files.open(file, 0, LENGTH_BYTES) as stream:
            prefix = bytearray(LENGTH_BYTES)
            _fill(memoryview(prefix), stream, f"{file} of {files.place}")
        length = header_length(bytes(prefix))
        body = LENGTH_BYTES + length
        header = bytearray(length)
        with files.open(file, LENGTH_BYTES, body) as stream:
            _fill(memoryview(header), stream, f"{file} of {files.place}")
        tensors = parse_header(bytes(header), size - body, CHECKPOINT_DTYPES)
    except HeaderError as error:
        raise AlignmentError(
            f"{file} of {files.place} cannot be read as safetensors:"
            f" {f'{error.tensor!r:.100}: ' if error.tensor else ''}{error}",
            code="checkpoint_unreadable",
        ) from error
    return [
        StoredTensor(key, file, info.dtype, info.shape, body + info.start, body + info.end)
        for key, info in tensors.items()
    ]


def _weight_files(files: CheckpointFiles) -> list[str]:
    """The safetensors files, by index or by the single name."""
    names: Mapping[str, int] = files.sizes
    if INDEX in names:
        return _indexed_files(files)
    if SINGLE in names:
        return [SINGLE]
    if any(name.startswith("pytorch_model") and name.endswith(".bin") for name in names):
        raise AlignmentError(
            f"{files.place} holds pickled weights, which are never opened. Convert them where you"
            " trust them: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...,"
            " safe_serialization=True)",
            code="checkpoint_pickled",
        )
    raise AlignmentError(
        f"{files.place} holds neither {SINGLE} nor {INDEX}", code="checkpoint_missing"
    )


def _indexed_files(files: CheckpointFiles) -> list[str]:
    try:
        index = parse_json_strictly(read_small(files, INDEX, MAX_INDEX_BYTES))
        names = sorted(set(index["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlignmentError(
            f"{INDEX} of {files.place} has no readable weight_map", code="checkpoint_unreadable"
        ) from error
    for name in names:
        if name not in files.sizes:
            raise AlignmentError(
                f"{INDEX} names {name!r:.100}, which is not in {files.place}: the download is"
                " incomplete",
                code="checkpoint_missing",
            )
    return names
