"""What can be done with alignments, as flows."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from safelora.errors import AlignmentFailed, RequestRefused, TooLate
from safelora.jobs import delete_at
from safelora.models import Alignment, AlignmentPage
from safelora.steps import Flow, Pause
from safelora.wire import Call, Terms, ask

REMOVED = "alignment_not_found"
SeenAlignment = Callable[[Alignment], object]


def path_of(name: str) -> tuple[str, ...]:
    return ("v1", "alignments", name)


def every(terms: Terms) -> Flow[list[Alignment]]:
    page = yield from ask(terms, Call("GET", ("v1", "alignments")), AlignmentPage)
    return page.alignments


def get(terms: Terms, name: str) -> Flow[Alignment]:
    return ask(terms, Call("GET", path_of(name)), Alignment)


def register(terms: Terms, order: Mapping[str, Any]) -> Flow[Alignment]:
    """Sent once: the same order again is no error, for whoever sends it."""
    call = Call("POST", ("v1", "alignments"), again=False, json=dict(order))
    return ask(terms, call, Alignment)


def judge(terms: Terms, name: str, policies: Mapping[str, Any]) -> Flow[Alignment]:
    call = Call("PATCH", path_of(name), again=False, json=dict(policies))
    return ask(terms, call, Alignment)


def delete(terms: Terms, name: str) -> Flow[None]:
    return delete_at(terms, Call("DELETE", path_of(name)))


def wait(
    terms: Terms,
    alignment: str | Alignment,
    timeout: float | None,
    poll: float,
    seen: SeenAlignment | None,
) -> Flow[Alignment]:
    """The alignment once it is ready: of this very registration, if one is given.

    Raises `AlignmentFailed`, `TooLate`, or as `ask` does.
    """
    name = alignment if isinstance(alignment, str) else alignment.name
    deadline = math.inf if timeout is None else terms.clock() + timeout
    found = alignment if isinstance(alignment, Alignment) else (yield from get(terms, name))
    registered = found.created_at
    while True:
        if found.created_at != registered:  # what is built now may be another pair
            raise _removed()
        if found.ready:
            return found
        if found.error is not None or found.finished_at is not None:
            raise _failed(found)
        if seen is not None:
            seen(found)
        left = deadline - terms.clock()
        if left <= 0:
            raise TooLate(f"{name} is {found.state} after {timeout:g} seconds; it goes on")
        yield Pause(min(poll, left))
        try:
            found = yield from get(terms.within(deadline - terms.clock()), name)
        except RequestRefused as error:
            raise _removed() if error.code == REMOVED else error from error


def _failed(found: Alignment) -> AlignmentFailed:
    if found.error is None:
        return AlignmentFailed(f"the build of {found.name} failed")
    return AlignmentFailed(found.error.message, code=found.error.code)


def _removed() -> AlignmentFailed:
    return AlignmentFailed(
        "the name was removed while its alignment was being built, and may have been registered"
        " anew since. What was finished is kept for a week: the same order goes on from there",
        code=REMOVED,
    )
