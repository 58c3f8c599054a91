"""An object of S3 as a stream that survives dropped connections."""

import io
import re
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, IncompleteReadError, ReadTimeoutError
from urllib3.exceptions import HTTPError

from core.errors import StoreError
from core.pace import Pace
from core.store.base import ObjectChanged
from core.store.files import CHUNK
from core.store.s3_errors import store_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef
    from urllib3.response import BaseHTTPResponse

_AT_ONCE = 1 << 16  # bytes: what one receive brings, of a fast connection
_PARTIAL = 206
_ASKED = re.compile(r"bytes=(\d+)-(\d*)")
_SENT = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

Fetch = Callable[[str, str], "GetObjectOutputTypeDef"]
"""Asks again for a range (a Range header's value) of the version with an ETag."""


def bare_etag(header: str) -> str:
    """The ETag without the quotes that it wears in headers."""
    return header.strip('"')


def check_answer(
    key: str, answer: "GetObjectOutputTypeDef", byte_range: str | None, etag: str | None
) -> None:
    """Raises `ObjectChanged` or `StoreError` where the answer is not what was asked for.

    Some stores, and proxies before them, know neither If-Match nor every Range. Without a length
    what is there of a body that breaks off would pass for all of it.
    """
    if etag is not None and bare_etag(answer.get("ETag", "")) != etag:
        raise ObjectChanged(f"{key!r} was replaced since it was last seen: start again.")
    if "ETag" not in answer or "ContentLength" not in answer:
        raise StoreError(
            f"Could not read {key!r}: the object store's answer broke off. Check the network."
        )
    if byte_range is not None and not _is_range(answer, byte_range):
        raise StoreError(
            f"Could not read {key!r}: the store, or a proxy before it, sends another part of it"
            " than was asked for. Check store.s3.endpoint_url."
        )


def _is_range(answer: "GetObjectOutputTypeDef", byte_range: str) -> bool:
    asked, sent = _ASKED.fullmatch(byte_range), _SENT.fullmatch(answer.get("ContentRange", ""))
    if asked is None or sent is None:
        return False
    start, last = int(sent[1]), int(sent[2])
    ends = [int(asked[2])] if asked[2] else []
    if sent[3] != "*":  # a range that reaches past the object's end is cut there
        ends.append(int(sent[3]) - 1)
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL
        and start == int(asked[1])
        and last == min(ends, default=None)
        and answer["ContentLength"] == last - start + 1
    )


class ObjectStream(io.RawIOBase):
    """The bytes of one answer, in order; where the connection drops, it asks for the rest.

    botocore repeats failed requests, but not a body that breaks off, and a large adapter takes
    minutes to read. The rest is pinned to the first answer's ETag, so two versions never mix:
    reading raises `ObjectChanged` instead. After `patience` drops in a row, each within 1 MiB of
    the last, reading raises `StoreError`. A connection that only drips counts as dropped.
    """

    def __init__(
        self, key: str, first: "GetObjectOutputTypeDef", start: int, fetch: Fetch, patience: int
    ) -> None:
        self._key = key
        self._take(first)
        self._etag = bare_etag(first["ETag"])
        self._position = start
        self._end = start + first["ContentLength"]
        self._fetch = fetch
        self._patience = patience
        self._drops = 0
        self._dropped_at = start
        self._given_up = Event()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        # At the end there is no range left to ask for, and S3 takes an empty one as the whole.
        while view and self._position < self._end:
            try:
                data = self._received(min(len(view), self._end - self._position))
            except (BotoCoreError, HTTPError) as error:
                self._ask_for_the_rest(error)
            except (OSError, ValueError) as error:  # TLS, where it was cut between two reads
                self._check_wanted()
                raise StoreError(f"Could not read {self._key!r}: the connection broke.") from error
            else:
                view[: len(data)] = data
                self._position += len(data)
                return len(data)
        return 0

    def readall(self) -> bytes:
        # The inherited one asks for 8 KiB at a time.
        return b"".join(iter(lambda: self.read(CHUNK) or b"", b""))

    def cut(self) -> None:
        """From another thread: reading, which may be waiting, ends with a `StoreError`."""
        self._given_up.set()
        # What it raises where the answer has just come to its end, or was just closed.
        with suppress(OSError, RuntimeError, TypeError, ValueError):
            self._raw.shutdown()

    def close(self) -> None:
        self._body.close()
        super().close()

    def _take(self, answer: "GetObjectOutputTypeDef") -> None:
        self._body = answer["Body"]
        # urllib3's own, which can be read as bytes come, and cut.
        self._raw = cast("BaseHTTPResponse", self._body.__enter__())
        self._pace = Pace()

    def _received(self, size: int) -> bytes:
        started = time.monotonic()
        data = self._raw.read1(min(size, _AT_ONCE))
        if not data:
            raise IncompleteReadError(actual_bytes=self._position, expected_bytes=self._end)
        if self._pace.is_lost(len(data), time.monotonic() - started):
            raise ReadTimeoutError(endpoint_url="")
        return data

    def _check_wanted(self) -> None:
        if self._given_up.is_set():
            raise StoreError(f"Could not read {self._key!r}: nobody waits for it any more.")

    def _ask_for_the_rest(self, error: Exception) -> None:
        self._check_wanted()
        in_a_row = self._position - self._dropped_at < CHUNK
        self._drops = self._drops + 1 if in_a_row else 1
        self._dropped_at = self._position
        with store_errors("read", self._key):
            if self._drops >= self._patience:
                raise error
        self._body.close()
        self._take(self._fetch(f"bytes={self._position}-{self._end - 1}", self._etag))
        self._check_wanted()
