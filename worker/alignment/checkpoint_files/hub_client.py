"""Asking a hub over connections that can be cut, and reading no more than is wanted."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from threading import Event, Lock
from typing import Any
from weakref import WeakSet

from httpx2 import Client, ConnectError, ReadTimeout, Response, TooManyRedirects
from huggingface_hub import HfApi, constants, hf_raise_for_status
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from core.pace import Pace

_REDIRECTS = 10
_SMALL = 64 << 10  # bytes that are read where a connection is worth more than they are
_LENGTH = re.compile(r"[0-9]{1,6}")
_OF_A_BODY = {"content-encoding", "content-length", "transfer-encoding"}


class HubClient:
    """The connections of one reader to a hub and its CDN; safe to share between threads.

    Not huggingface_hub's own session, which is one for the process: cutting that would end what
    others read.
    """

    def __init__(self, api: HfApi) -> None:
        self.given_up = Event()
        self._api = api
        self._client = Client(timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = Lock()

    def get(self, url: str, **headers: str) -> Response:
        """The answer, its body unread, to be closed by the caller.

        Raises httpx2's `HTTPError`, for a refusal as huggingface_hub would, but without its body.
        """
        if constants.is_offline_mode():
            raise OfflineModeIsEnabled
        known = build_hf_headers(token=self._api.token, library_name=self._api.library_name)
        request = self._client.build_request(
            "GET", url, headers={**known, **headers}, extensions={"trace": self._note}
        )
        for _ in range(_REDIRECTS):
            if self.given_up.is_set():
                raise ConnectError("nobody waits for it any more")
            response = self._client.send(request, stream=True)
            if response.next_request is None:
                _judge(response)
                return response
            request = response.next_request
            _let_go(response)
        raise TooManyRedirects("the hub sends us round and round", request=request)

    def read(self, url: str, limit: int) -> bytes:
        """A whole body. Raises `ValueError` if it has more than `limit` bytes, and as `get`."""
        body = bytearray()
        with closing(self.get(url)) as response:
            for chunk in paced(response.iter_bytes()):
                body += chunk
                if len(body) > limit:
                    raise ValueError(f"more than {limit} bytes")
        return bytes(body)

    def cut(self) -> None:
        """From any thread: whatever waits for an answer, or reads one, ends with an `HTTPError`.

        A connection that is still being made ends when its own time is over, and asks nothing.
        """
        self.given_up.set()
        with self._lock:
            sockets = list(self._sockets)
        for connection in sockets:
            _shut(connection)

    def close(self) -> None:
        self._client.close()

    def _note(self, event: str, info: dict[str, Any]) -> None:
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        connection = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._sockets.add(connection)
        if self.given_up.is_set():
            _shut(connection)


def paced(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks of one body. Raises `ReadTimeout` where it only drips."""
    pace, started = Pace(), time.monotonic()
    for chunk in chunks:
        if pace.is_lost(len(chunk), time.monotonic() - started):
            raise ReadTimeout("the hub sends too little")
        yield chunk
        started = time.monotonic()


def _judge(response: Response) -> None:
    """Raises what huggingface_hub makes of the status and headers; it would read all of a body."""
    if response.is_success:
        return
    response.close()
    headers = [(n, v) for n, v in response.headers.multi_items() if n.lower() not in _OF_A_BODY]
    hf_raise_for_status(Response(response.status_code, headers=headers, request=response.request))


def _let_go(response: Response) -> None:
    """So that its connection can be used again, if that takes no more than a few bytes."""
    length = response.headers.get("Content-Length", "")
    if _LENGTH.fullmatch(length) and int(length) <= _SMALL:
        for _ in paced(response.iter_raw()):
            pass
    response.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed already
        # Not an SSLSocket's own, which says goodbye and pulls TLS from under who reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
