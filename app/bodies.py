"""Request bodies as they arrive: bounded, in blocks, never held where they can be large."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.requests import Request

from core.canonical import parse_json_strictly
from core.errors import RequestError, RequestTimeout, TooLarge, UnsupportedMediaType

BLOCK = 1 << 20
FIRST_BLOCK = 1 << 12
SILENCE_SECONDS = 30


async def blocks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB: a server's own pieces are too small to hand to a thread,
    which of 17 MB in blocks of 256 KiB took twice as long as all that was done there.
    The first ones are smaller, so that what is wrong at its start is seen early.

    Raises `TooLarge`, at once where the length was announced.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    total, wanted = 0, FIRST_BLOCK
    held = bytearray()
    stream = aiter(request.stream())
    while (piece := await _next(stream)) is not None:
        total += len(piece)
        if total > max_bytes:
            raise _too_large(max_bytes)
        held += piece
        if len(held) >= wanted:
            yield bytes(held)
            held.clear()
            wanted = min(2 * wanted, BLOCK)
    if held:
        yield bytes(held)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    """The next piece, None at the end. Raises `RequestTimeout` where a sender has gone silent."""
    try:
        with anyio.fail_after(SILENCE_SECONDS):
            return await anext(stream, None)
    except TimeoutError as error:
        raise RequestTimeout(
            f"nothing of the body came for {SILENCE_SECONDS} s: send the request again"
        ) from error


async def read_json(request: Request, max_bytes: int) -> Any:
    """The body as strict JSON.

    Raises `UnsupportedMediaType` (a page elsewhere can send text/plain without being asked),
    `TooLarge`, or `RequestError` (`json_invalid`).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType("send Content-Type: application/json")
    data = b"".join([block async for block in blocks(request, max_bytes)])
    try:
        return parse_json_strictly(data)
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}", code="json_invalid") from error


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than the {max_bytes} bytes accepted here: save the adapter in 16 bits,"
        " or ask the operator to raise the limit",
        limit=max_bytes,
    )
