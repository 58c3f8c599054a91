"""What can be done with jobs, as flows."""

import math
import uuid
from collections.abc import Callable
from typing import Final

from safelora.errors import RequestRefused, TooLate
from safelora.models import Delivery, DeliveryList, Job, JobPage, Report
from safelora.steps import Emit, Flow, Pause
from safelora.wire import Attempts, Call, Terms, ask, send

LONG_POLL: Final = 20.0
_BETWEEN: Final = 0.2  # seconds between two polls, whatever the gate makes of `wait`
SeenJob = Callable[[Job], object]


def path_of(job: str | Job, *more: str) -> tuple[str, ...]:
    return ("v1", "jobs", job.id if isinstance(job, Job) else job, *more)


def get(terms: Terms, job: str | Job) -> Flow[Job]:
    return ask(terms, Call("GET", path_of(job)), Job)


def submit(terms: Terms, call: Call) -> Flow[Job]:
    return ask(terms, call, Job)


def wait(
    terms: Terms, job: str | Job, timeout: float | None, poll: float, seen: SeenJob | None
) -> Flow[Job]:
    """The job once it has ended. Raises `TooLate`, or as `ask` does."""
    deadline = math.inf if timeout is None else terms.clock() + timeout
    while True:
        left = deadline - terms.clock()
        seconds = max(0.0, min(poll, left))
        call = Call("GET", path_of(job), params={"wait": f"{seconds:.3f}"}, quiet=seconds)
        found = yield from ask(terms.within(left), call, Job)
        if seen is not None:
            seen(found)
        if found.ended:
            return found
        left = deadline - terms.clock()
        if left <= 0:
            raise TooLate(f"job {found.id} is {found.state} after {timeout:g} seconds; it goes on")
        yield Pause(min(_BETWEEN, left))


def pages(terms: Terms, state: str | None, alignment: str | None) -> Flow[None]:
    """Emits every job, newest first."""
    wanted = {"state": state, "alignment": alignment, "limit": "100"}
    params = {name: text for name, text in wanted.items() if text is not None}
    while True:
        page = yield from ask(terms, Call("GET", ("v1", "jobs"), params=params), JobPage)
        for job in page.jobs:
            yield Emit(job)
        if page.next_cursor is None:
            return
        params["cursor"] = page.next_cursor


def cancel(terms: Terms, job: str | Job) -> Flow[Job]:
    """Sent once: of a job that ended meanwhile a second answer would say other than the first."""
    return ask(terms, Call("POST", path_of(job, "cancel"), again=False), Job)


def retry(terms: Terms, job: str | Job, idempotency_key: str | None) -> Flow[Job]:
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    return ask(terms, Call("POST", path_of(job, "retry"), headers=headers), Job)


def delete(terms: Terms, job: str | Job) -> Flow[None]:
    yield from delete_at(terms, Call("DELETE", path_of(job)))


def delete_at(terms: Terms, call: Call) -> Flow[None]:
    """What is gone at the second try was taken away by the first, whose answer was lost."""
    attempts = Attempts(terms)
    try:
        yield from send(terms, call, attempts)
    except RequestRefused as error:
        if error.status != 404 or not attempts.unsure:
            raise


def deliveries(terms: Terms, job: str | Job) -> Flow[list[Delivery]]:
    told = yield from ask(terms, Call("GET", path_of(job, "deliveries")), DeliveryList)
    return told.deliveries


def report(terms: Terms, job: str | Job) -> Flow[Report]:
    return ask(terms, Call("GET", path_of(job, "report.json")), Report)


def report_bytes(terms: Terms, job: str | Job, kind: str) -> Flow[bytes]:
    response = yield from send(terms, Call("GET", path_of(job, f"report.{kind}")))
    return response.content
