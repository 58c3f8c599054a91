"""Gates to test against: most promises need only one kind of store, some are held to both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from redis import Redis
from starlette.testclient import TestClient

from app.main import create_app
from core.settings import QueueSettings, RedisSettings, Settings
from core.store.settings import StoreSettings
from tests.app.gate import Gate
from tests.servers import SeaweedServer, ValkeyServer

OpenGate = Callable[..., Gate]


@pytest.fixture
def open_gate(tmp_path: Path, valkey: ValkeyServer) -> Iterator[OpenGate]:
    """A gate with the settings given; by default on a local store, without keys."""
    with Redis.from_url(valkey.url) as redis:
        redis.flushdb()  # names on the queue are the same in every test
    with ExitStack() as stack:

        def opened(headers: dict[str, str] | None = None, **settings: Any) -> Gate:
            app = create_app(
                Settings(
                    **{
                        "store": StoreSettings(path=tmp_path / "store"),
                        "redis": RedisSettings(url=SecretStr(valkey.url)),
                        "queue": QueueSettings(name=f"test-{uuid4().hex}"),
                        "scratch": tmp_path / "scratch",
                        **settings,
                    }
                )
            )
            client = TestClient(
                app,
                base_url="http://localhost",
                client=("127.0.0.1", 50000),
                headers=headers,
                raise_server_exceptions=False,
                follow_redirects=False,
            )
            return Gate(stack.enter_context(client), app.state.services)

        yield opened


@pytest.fixture
def gate(open_gate: OpenGate) -> Gate:
    return open_gate()


@pytest.fixture
def s3_gate(open_gate: OpenGate, seaweed: SeaweedServer) -> Gate:
    settings = seaweed.settings(prefix=uuid4().hex)
    return open_gate(store=StoreSettings(kind="s3", s3=settings))


@pytest.fixture(params=["gate", "s3_gate"])
def any_gate(request: pytest.FixtureRequest) -> Gate:
    """On each kind of store in turn."""
    chosen: Gate = request.getfixturevalue(request.param)
    return chosen
