"""The caller of a request, as routes ask for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from core.errors import Forbidden
from core.scopes import ALIGNMENTS, JOBS, WEBHOOKS


@dataclass(frozen=True)
class Caller:
    """Whoever sent the request: whose jobs they are, and what they may do."""

    tenant: str
    key_id: str
    scopes: frozenset[str]


def caller_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """The caller, as a dependency. Raises `Forbidden` without `scope`."""

    async def caller(request: Request) -> Caller:
        found = await caller_of(request)
        if scope not in found.scopes:
            raise Forbidden(
                f"this key lacks the scope {scope}: use one that has it",
                code="scope_missing",
                scope=scope,
            )
        return found

    return caller


async def caller_of(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


JobsCaller = Annotated[Caller, Depends(caller_with(JOBS))]
AlignmentsCaller = Annotated[Caller, Depends(caller_with(ALIGNMENTS))]
WebhooksCaller = Annotated[Caller, Depends(caller_with(WEBHOOKS))]
AnyCaller = Annotated[Caller, Depends(caller_of)]
