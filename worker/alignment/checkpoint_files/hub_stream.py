"""A range of a file of a hub as a stream that survives dropped connections."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from httpx2 import HTTPError, RemoteProtocolError, Response

from core.hub_places import HubUri
from worker.alignment.checkpoint_files.ahead import RemoteStream
from worker.alignment.checkpoint_files.hub_client import HubClient, paced
from worker.alignment.checkpoint_files.hub_errors import other_range, said_of_model
from worker.alignment.checkpoint_files.hub_patience import Patience

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WHOLE, _PARTIAL = 200, 206
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True)
class HubFile:
    """One file of one commit, `size` bytes."""

    uri: HubUri
    url: str
    size: int


class HubRange(RemoteStream):
    """The bytes of `file` from `start` up to `end`; where the connection drops, it asks for the
    rest, until `client` is cut. A commit never changes: the rest is of the same version."""

    def __init__(self, client: HubClient, file: HubFile, start: int, end: int) -> None:
        self._client = client
        self._file = file
        self._position = start
        self._end = end
        self._patience = Patience(client.given_up)
        self._response: Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._left = memoryview(b"")

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        if not view or self._position == self._end:
            return 0
        with said_of_model(self._file.uri):
            while not self._left:
                self._left = memoryview(self._next_chunk())
        count = min(len(view), len(self._left), self._end - self._position)
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        self._position += count
        return count

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _next_chunk(self) -> bytes:
        """Empty where the connection dropped and another is worth trying."""
        try:
            if self._response is None:
                self._ask()
            chunk = next(self._chunks, None)
            if chunk is None:
                raise RemoteProtocolError("the answer ended early")
        except HTTPError as error:
            self._hang_up()
            self._patience.after(error, self._position)
            return b""
        return chunk

    def _ask(self) -> None:
        headers = {
            "Range": f"bytes={self._position}-{self._end - 1}",
            "Accept-Encoding": "identity",
        }
        self._response = self._client.get(self._file.url, **headers)
        if not self._is_asked_for(self._response):
            self._hang_up()
            raise other_range(self._file.uri)
        self._chunks = paced(self._response.iter_raw())

    def _is_asked_for(self, response: Response) -> bool:
        """A server that ignores Range sends the whole file, which may be just what is asked for."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            return False
        asked, size = (self._position, self._end - 1), self._file.size
        if response.status_code == _WHOLE:
            told = response.headers.get("Content-Length", str(size))
            return asked == (0, size - 1) and told == str(size)
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return (
            response.status_code == _PARTIAL
            and found is not None
            and (int(found[1]), int(found[2])) == asked
            and found[3] in ("*", str(size))
        )

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None
        self._chunks = iter(())
