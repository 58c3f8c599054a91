"""Events of fine-tuning pipelines: verified, mapped, and made into jobs."""

import logging
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.access.auditing import tell_below_floor
from app.access.door import address_of
from app.access.failures import Failures
from app.access.rates import RequestRates
from app.description.hook_examples import HOOK_BODY, IGNORED, RECEIVED, SEVERAL
from app.hooks.receive import Ignored, Outcome, Waiting, receive
from app.hooks.sources import HookSources
from app.scratch import scratch_folder
from app.services import Served, Services
from app.views import JobView, View, job_view, mark_accepted, snapshot
from core.errors import GateError, NotFound, Unauthorized
from core.jobs import JobRequest

_log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/hooks", tags=["hooks"])


class NoJobView(View):
    """Nothing was made of the event, and nothing is wrong: why it is `ignored`, or for which file
    the adapter is `waiting`."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [IGNORED]})

    ignored: str | None = None
    waiting: str | None = None


class EventView(View):
    """What became of an event that tells of several adapters."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [SEVERAL]})

    jobs: list[JobView]
    others: list[NoJobView]


@dataclass(frozen=True)
class _Guard:
    """Lets events in: in place of the door, which knows keys alone."""

    sources: HookSources
    rates: RequestRates
    failures: Failures


async def _guard(request: Request) -> _Guard:
    state = request.app.state
    return _Guard(state.hooks, state.rates, state.failures)


@router.post(
    "/{source}",
    response_model=JobView | NoJobView | EventView,
    response_model_exclude_unset=True,
    status_code=202,
    responses=RECEIVED,
    openapi_extra=HOOK_BODY,
    summary="Take an event of a fine-tuning pipeline",
)
async def post_event(
    request: Request,
    response: Response,
    services: Served,
    guard: Annotated[_Guard, Depends(_guard)],
    source: str,
) -> JobView | NoJobView | EventView:
    """Needs no key: the sender's signature, over the bytes as they came, lets it in.

    The same event again answers with the same job. Nobody reads an answer at most senders: a
    refusal is a line in the log, with the source and the code.
    """
    try:
        outcomes = await _received(request, services, guard, source)
    except GateError as error:
        if guard.sources.find(source) is not None:  # a name that is none is not ours to repeat
            _log.warning("an event of hook %s was refused: %s", source, error.code)
        raise
    views = [await run_in_threadpool(_view, services, outcome) for outcome in outcomes]
    jobs = [outcome for outcome in outcomes if isinstance(outcome, JobRequest)]
    tell_below_floor(request, jobs)
    if len(views) == 1 and jobs:
        mark_accepted(response, await run_in_threadpool(snapshot, services, jobs[0]))
    elif not jobs:
        response.status_code = 200
    return views[0] if len(views) == 1 else _together(views)


async def _received(
    request: Request, services: Services, guard: _Guard, name: str
) -> list[Outcome]:
    guard.sources.check_any()
    body = await guard.sources.bodies.read(request)
    try:
        event_id = guard.sources.verify(name, request.headers, body, time.time())
    except (Unauthorized, NotFound) as error:
        raise guard.failures.counted(address_of(request.scope), error) from error
    source = guard.sources.find(name)
    assert source is not None  # noqa: S101  (it was verified)
    request.state.holder = source.caller  # as the door says whose a key is, for the audit log
    await guard.rates.take(source.caller.tenant)
    async with scratch_folder(services.scratch) as folder:
        return await run_in_threadpool(receive, services, source, event_id, body, folder)


def _view(services: Services, outcome: Outcome) -> JobView | NoJobView:
    if isinstance(outcome, Ignored):
        return NoJobView(ignored=outcome.why)
    if isinstance(outcome, Waiting):
        return NoJobView(waiting=outcome.missing)
    return job_view(snapshot(services, outcome))


def _together(views: list[JobView | NoJobView]) -> EventView:
    return EventView(
        jobs=[view for view in views if isinstance(view, JobView)],
        others=[view for view in views if isinstance(view, NoJobView)],
    )
