"""A checkpoint under a prefix of S3."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from core.canonical import Json
from core.errors import AlignmentError
from core.s3_places import S3Places, S3Uri, not_found, said_of_source
from core.store.base import ObjectChanged, ObjectInfo, ObjectMissing
from worker.alignment.checkpoint_files.ahead import ReadAhead, RemoteStream
from worker.alignment.checkpoint_files.base import OF_A_CHECKPOINT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_OBJECTS = 5_000

_SECTION = "SAFELORA_ALIGNMENTS__S3"


class S3Files:
    """The objects right under the prefix as they were listed when this was made, by ETag."""

    def __init__(self, uri: S3Uri, places: S3Places) -> None:
        self._uri = uri
        self._endpoint_url = places.endpoint_url
        self._store = places.open_bucket(uri.bucket)
        try:
            self._found = self._listed()
        except BaseException:
            self._store.close()
            raise
        self._ahead = ReadAhead()

    @property
    def place(self) -> str:
        return str(self._uri)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: info.size for name, info in self._found.items()}

    @property
    def version(self) -> Json:
        files: list[Json] = [[name, info.size, info.etag] for name, info in self._found.items()]
        return [self._endpoint_url, self.place, files]

    def open(self, name: str, start: int = 0, end: int | None = None) -> BinaryIO:
        info = self._found[name]
        end = info.size if end is None else min(end, info.size)
        return self._ahead.open(partial(self._open_range, info), start, end)

    def check_unchanged(self) -> None:
        if self._listed() != self._found:
            raise _changed(self._uri)

    def close(self) -> None:
        """From any thread: what still reads ends with an error, and is not waited for long."""
        self._store.cut()
        self._ahead.close()
        self._store.close()

    def _listed(self) -> dict[str, ObjectInfo]:
        with _errors(self._uri):
            infos = list(islice(self._store.infos(self._uri.key), MAX_OBJECTS + 1))
        if not infos:
            raise not_found(self._uri, AlignmentError)
        if len(infos) > MAX_OBJECTS:
            raise AlignmentError(
                f"{self._uri} holds more than {MAX_OBJECTS} files: put the checkpoint in a folder"
                " of its own",
                code="source_not_flat",
            )
        named = sorted((info.key.removeprefix(self._uri.key), info) for info in infos)
        return {name: info for name, info in named if name.endswith(OF_A_CHECKPOINT)}

    def _open_range(self, info: ObjectInfo, start: int, end: int) -> RemoteStream:
        with _errors(self._uri):
            stream = self._store.open_range(
                info.key, start=start, length=end - start, etag=info.etag
            )
        return _ObjectRange(stream, self._uri)


class _ObjectRange(RemoteStream):
    """A range of an object whose errors are said of the checkpoint."""

    def __init__(self, stream: BufferedReader, uri: S3Uri) -> None:
        self._stream = stream
        self._uri = uri

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        with _errors(self._uri):
            return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


@contextmanager
def _errors(uri: S3Uri) -> Iterator[None]:
    try:
        with said_of_source(uri, AlignmentError, section=_SECTION):
            yield
    except (ObjectMissing, ObjectChanged) as error:
        raise _changed(uri) from error


def _changed(uri: S3Uri) -> AlignmentError:
    return AlignmentError(
        f"{uri} changed while it was read: register the pair again once nothing writes there",
        code="checkpoint_changed",
    )
