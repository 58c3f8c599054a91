"""A multipart body, parsed as it arrives: the adapter's files go straight to the object store, an
archive to disk, hashed on the way.

Starlette's own parser would spool every file and copy it again.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.bodies import blocks
from app.intake.arrival import Arrival
from app.intake.part import Part
from app.scratch import MakeFolder
from core.archives import UnpackedFile
from core.arriving_header import ArrivingHeader
from core.errors import RequestError, Unprocessable
from core.jobs import InputFile
from core.settings import LimitSettings
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL

STORED_AS = {"adapter": ADAPTER_MODEL, "config": ADAPTER_CONFIG}
FILE_PARTS = (*STORED_AS, "archive")
TEXT_PARTS = ("alignment", "policy", "metadata", "destination", "callback_url")
_MAX_TEXT = 64 * 2**10


@dataclass
class Form:
    """What the parts held: an archive on disk, other files in the store, both by part name, and
    texts."""

    archive: UnpackedFile | None = None
    files: dict[str, InputFile] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)


async def receive_form(
    request: Request, arrival: Arrival, folder: MakeFolder, limits: LimitSettings
) -> Form:
    """Read the whole body; its files are on their way to the store then (`Arrival.commit`), an
    archive is in the `folder`.

    Raises `RequestError`, `StoreError`, or `AdapterRejected` as soon as the weights' header is seen
    to be wrong.
    """
    receiver = _Receiver(_boundary(request), arrival, folder, limits)
    try:
        async for block in blocks(request, limits.upload):
            await run_in_threadpool(receiver.write, block)
        return receiver.finish()
    finally:
        if receiver.has_part_open:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(receiver.close)


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise _invalid("the Content-Type names no boundary")
    return boundary


class _Receiver:
    """Takes the body block by block. All of it blocks, and runs in a thread."""

    def __init__(
        self, boundary: bytes, arrival: Arrival, folder: MakeFolder, limits: LimitSettings
    ) -> None:
        self._arrival = arrival
        self._folder = folder
        self._limits = limits
        self._form = Form()
        self._part: Part | None = None
        self._end_of_part: Callable[[Part], None] = lambda _: None  # before the first part
        self._seen: set[str] = set()
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._ended = self._started = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, a, z: self._header.extend(data[a:z]),
                    "on_header_value": lambda data, a, z: self._value.extend(data[a:z]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._write,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _invalid(str(error)) from error

    def write(self, data: bytes) -> None:
        self._started = True
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _invalid(str(error)) from error

    def finish(self) -> Form:
        if not self._started:
            raise RequestError(
                "the request has no body: send the adapter's files as multipart/form-data",
                code="body_empty",
            )
        if not self._ended:
            raise RequestError(
                "the body ends before its last boundary: send it again", code="multipart_truncated"
            )
        return self._form

    @property
    def has_part_open(self) -> bool:
        return self._part is not None

    def close(self) -> None:
        if self._part is not None:
            self._part.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        name = _part_name(self._disposition)
        if name in self._seen:
            raise Unprocessable(
                f"the part {name} is there twice: send it once", code="part_duplicate", field=name
            )
        self._seen.add(name)
        # Open across callbacks; `close` sees to it whatever happens.
        if name in STORED_AS:
            self._open_stored(name)
        elif name == "archive":
            self._open_archive(name)
        else:
            self._open_text(name)

    def _open_stored(self, name: str) -> None:
        filename = STORED_AS[name]
        writer = self._arrival.writer(filename)
        cap = self._limits.config if name == "config" else self._limits.upload
        header = ArrivingHeader(filename) if name == "adapter" else None

        def end(part: Part) -> None:
            part.check()
            self._form.files[name] = InputFile(
                name=filename, size=part.size, sha256=part.sha256, key=self._arrival.key(filename)
            )

        # The arrival commits or aborts it.
        self._part, self._end_of_part = Part(name, writer, _nothing, cap, header), end

    def _open_archive(self, name: str) -> None:
        path = self._folder() / name
        file = path.open("xb")

        def end(part: Part) -> None:
            part.check()
            file.close()
            self._form.archive = UnpackedFile(path, part.size, part.sha256)

        self._part, self._end_of_part = Part(name, file, file.close, self._limits.upload), end

    def _open_text(self, name: str) -> None:
        text = io.BytesIO()
        cap = self._limits.metadata if name == "metadata" else _MAX_TEXT

        def end(_: Part) -> None:
            self._form.texts[name] = text.getvalue()

        self._part, self._end_of_part = Part(name, text, text.close, cap), end

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        part = self._part
        if part is not None:
            self._end_of_part(part)
            part.close()
            self._part = None

    def _end(self) -> None:
        self._ended = True


def _nothing() -> None:
    """There is nothing to let go of."""


def _part_name(disposition: bytes) -> str:
    """Raises `RequestError` for a name that no part of this API has."""
    kind, options = parse_options_header(disposition)
    name = options.get(b"name", b"").decode("utf-8", "replace")
    if kind != b"form-data" or not name:
        raise _invalid("a part has no name")
    if name not in FILE_PARTS + TEXT_PARTS:
        raise Unprocessable(
            f"there is no part {name[:60]!r}: the parts are {', '.join(FILE_PARTS + TEXT_PARTS)}",
            code="part_unknown",
        )
    return name


def _invalid(why: str) -> RequestError:
    return RequestError(f"the multipart body is damaged: {why}", code="multipart_invalid")
