"""An object of S3 as a stream that survives dropped connections."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from core.store.files import CHUNK
from core.store.s3_errors import store_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

Fetch = Callable[[str, str], "GetObjectOutputTypeDef"]
"""Asks again for a range (a Range header's value) of the version with an ETag."""


def bare_etag(header: str) -> str:
    """The ETag without the quotes that it wears in headers."""
    return header.strip('"')


class ObjectStream(io.RawIOBase):
    """The bytes of one answer, in order; where the connection drops, it asks for the rest.

    botocore repeats failed requests, but not a body that breaks off, and a large adapter takes
    minutes to read. The rest is pinned to the first answer's ETag, so two versions never mix:
    reading raises `ObjectChanged` instead. After `patience` drops in a row, each within 1 MiB of
    the last, reading raises `StoreError`.
    """

    def __init__(
        self, key: str, first: "GetObjectOutputTypeDef", start: int, fetch: Fetch, patience: int
    ) -> None:
        self._key = key
        self._body = first["Body"]
        self._etag = bare_etag(first["ETag"])
        self._position = start
        self._end = start + first["ContentLength"]
        self._fetch = fetch
        self._patience = patience
        self._drops = 0
        self._dropped_at = start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        # At the end there is no range left to ask for, and S3 takes an empty one as the whole.
        while self._position < self._end:
            try:
                data = self._body.read(len(view))
            except (BotoCoreError, HTTPError) as error:
                self._ask_for_the_rest(error)
            else:
                view[: len(data)] = data
                self._position += len(data)
                return len(data)
        return 0

    def readall(self) -> bytes:
        # The inherited one asks for 8 KiB at a time.
        return b"".join(iter(lambda: self.read(CHUNK) or b"", b""))

    def close(self) -> None:
        self._body.close()
        super().close()

    def _ask_for_the_rest(self, error: Exception) -> None:
        in_a_row = self._position - self._dropped_at < CHUNK
        self._drops = self._drops + 1 if in_a_row else 1
        self._dropped_at = self._position
        with store_errors("read", self._key):
            if self._drops >= self._patience:
                raise error
        self._body.close()
        self._body = self._fetch(f"bytes={self._position}-{self._end - 1}", self._etag)["Body"]
