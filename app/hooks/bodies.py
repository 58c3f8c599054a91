"""Bodies of events: read whole before it is known who sent them, so what they hold is bounded."""

from typing import Final

import anyio
from starlette.requests import Request

from app.bodies import blocks
from core.errors import RequestTimeout, TooLarge, TooManyRequests

MAX_EVENT: Final = 2**20
PLAIN: Final = 32 * 2**10
"""Bytes of an event that always have room: few are larger, so what is sent to fill up the memory
keeps none of them out."""
ROOM: Final = 32 * 2**20
"""Bytes that all events which are being read may hold beyond that, in one process."""
SECONDS = 30.0
RETRY_SECONDS: Final = 5


class EventBodies:
    """For one event loop."""

    def __init__(self) -> None:
        self.held = 0

    async def read(self, request: Request) -> bytes:
        """The whole body.

        Raises `TooLarge`, `RequestTimeout` if it takes longer than `SECONDS`, or `TooManyRequests`
        (`hooks_busy`).
        """
        body = bytearray()
        counted = 0
        try:
            with anyio.fail_after(SECONDS):
                async for block in blocks(request, MAX_EVENT):
                    body += block
                    more = max(0, len(body) - PLAIN) - counted
                    if self.held + more > ROOM:
                        raise _busy()
                    self.held += more
                    counted += more
            return bytes(body)
        except TooLarge as error:
            raise TooLarge(
                f"the event is larger than the {MAX_EVENT} bytes accepted here", limit=MAX_EVENT
            ) from error
        except TimeoutError as error:
            raise RequestTimeout(
                f"the event did not come within {SECONDS:.0f} s: send it again"
            ) from error
        finally:
            self.held -= counted


def _busy() -> TooManyRequests:
    return TooManyRequests(
        "too many large events are being sent at once: send this one again after the seconds that"
        " Retry-After says",
        code="hooks_busy",
        retry_after=RETRY_SECONDS,
    )
