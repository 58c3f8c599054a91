"""Signing in with a key, and out again."""

import re
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.door import address_of
from app.access.failures import Failures
from app.access.holders import Fingerprint, Held, Holders
from app.access.rates import RequestRates
from app.access.sessions import Sessions, drop_session, session_token, set_session
from app.bodies import blocks
from app.problems import problem_of
from app.web.pages import HEADERS, sign_in_page
from app.web.routing import page_router
from core.errors import RequestError, Unauthorized

_MAX_FORM: Final = 8 * 2**10
_OF_OURS: Final = re.compile(r"/(alignments|jobs/[a-z0-9/]+)?(\?[A-Za-z0-9=&_.%-]*)?")

router = page_router()


@router.get("/sign-in")
async def sign_in(request: Request) -> Response:
    if request.state.caller is not None:
        return _to("/")
    return sign_in_page(request, wanted=_next(request.query_params.get("next", "")))


@router.post("/sign-in")
async def begin_session(request: Request) -> Response:
    """To where the browser wanted to go; a key that is not taken is asked for again."""
    form = await _form(request)
    wanted = _next(form.get("next", ""))
    sent = Fingerprint.of(form.get("key", "").strip())
    try:
        held = await _held(request, sent)
    except RequestError as error:
        request.state.code = error.code
        refusal = problem_of(error)
        page = sign_in_page(request, wanted=wanted, error=error.message, status=refusal.status_code)
        if "retry-after" in refusal.headers:
            page.headers["Retry-After"] = refusal.headers["retry-after"]
        return page
    request.state.holder = held.caller
    rates: RequestRates = request.app.state.rates
    await rates.take(held.caller.tenant)
    await _end(request)
    answer = _to(wanted)
    set_session(answer, request.scope, await _sessions(request).begin(sent))
    return answer


@router.post("/sign-out")
async def end_session(request: Request) -> Response:
    await _end(request)
    answer = _to("/sign-in")
    drop_session(answer, request.scope)
    return answer


async def _held(request: Request, sent: Fingerprint) -> Held:
    """Raises `RequestError` for a key that is nobody's, or no longer good; also for the next ones
    where too many were."""
    holders: Holders = request.app.state.holders
    failures: Failures = request.app.state.failures
    address = address_of(request.scope)
    held = await holders.holder(sent, address)
    if held is None:
        words = "the gate does not know this key: check that all of it was copied"
        raise failures.counted(address, Unauthorized(words))
    if held.lapsed is not None:
        raise failures.counted(address, held.lapsed)
    return held


async def _end(request: Request) -> None:
    token = session_token(request.scope)
    if token is not None:
        await _sessions(request).end(token)


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _form(request: Request) -> dict[str, str]:
    """What was typed in. Raises `TooLarge` or `RequestTimeout`."""
    data = b"".join([block async for block in blocks(request, _MAX_FORM)])
    sent = parse_qs(data.decode(errors="replace"))
    return {name: texts[0] for name, texts in sent.items()}


def _next(wanted: str) -> str:
    """A page of ours, and the first one instead of any other address."""
    return wanted if _OF_OURS.fullmatch(wanted) else "/"


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, headers=HEADERS)
