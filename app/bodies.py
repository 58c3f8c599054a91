"""Request bodies as they arrive: bounded, in blocks, never held where they can be large."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request

from core.canonical import parse_json_strictly
from core.errors import RequestError, TooLarge

BLOCK = 1 << 20


async def blocks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB: a server's own pieces are too small to hand to a thread.

    Raises `TooLarge`, at once where the length was announced.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    total = 0
    held = bytearray()
    async for piece in request.stream():
        total += len(piece)
        if total > max_bytes:
            raise _too_large(max_bytes)
        held += piece
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def read_json(request: Request, max_bytes: int) -> Any:
    """The body as strict JSON. Raises `TooLarge`, or `RequestError` (`json_invalid`)."""
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
