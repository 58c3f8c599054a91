"""What is running at the address."""

from safelora.models import Version
from safelora.steps import Flow
from safelora.wire import Call, Terms, ask


def version(terms: Terms) -> Flow[str]:
    found = yield from ask(terms, Call("GET", ("version",), again=False), Version)
    return found.engine
