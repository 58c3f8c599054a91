"""A gate behind a socket, and both clients: what is promised of one is promised of the other."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from anyio.from_thread import start_blocking_portal

from safelora import AsyncGate, Gate
from tests.app.conftest import gate, open_gate, s3_gate  # noqa: F401  (fixtures)
from tests.app.gate import Gate as RealGate
from tests.safelora.awaited import Awaited
from tests.safelora.serving import served

Connect = Callable[..., Gate]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens clients of either kind, to be used alike."""
    with ExitStack() as stack:
        if request.param == "sync":
            yield lambda *given, **options: stack.enter_context(Gate(*given, **options))
            return
        portal = stack.enter_context(start_blocking_portal())

        def awaited(*given: Any, **options: Any) -> Gate:
            opened = AsyncGate(*given, **options)
            stack.callback(portal.call, opened.close)
            return cast(Gate, Awaited(opened, portal))

        yield awaited


@pytest.fixture
def url(gate: RealGate) -> Iterator[str]:  # noqa: F811
    """Where `gate` is served."""
    with served(gate.client.app) as address:
        yield address


@pytest.fixture
def client(connect: Connect, url: str) -> Gate:
    return connect(url)
