"""What a tenant may send at a time: requests a minute, and streams that are open at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from redis import Redis
from starlette.types import Message

from app.access import rates
from app.access.rates import WINDOW, seconds_until_free
from core.settings import LimitSettings, QueueSettings, RedisSettings, Settings, TenantSettings
from core.tenant_limits import request_limit, stream_limit, upload_limit
from tests.app.conftest import OpenGate
from tests.app.following import posted
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key
from tests.servers import ValkeyServer, free_ports

ALICE, BOB = "slg_alice-secret", "slg_bob-secret"
KEYS = access(key(ALICE, "alice", "jobs"), key(BOB, "bob", "jobs"))


def statuses(gate: Gate, text: str, count: int) -> list[int]:
    return [gate.client.get("/v1/jobs", headers=bearer(text)).status_code for _ in range(count)]


def pass_time(redis: Redis, seconds: int) -> None:
    """As far as the counts of requests are concerned."""
    for name in redis.scan_iter("safelora:rates:*"):
        redis.pexpire(name, max(1, redis.pttl(name) - 1000 * seconds))


def test_a_tenant_has_so_many_requests_a_minute(open_gate: OpenGate) -> None:
    """One more is 429, whichever it is; other tenants have their own; probes are not counted."""
    gate = open_gate(access=KEYS, limits=LimitSettings(requests_per_minute=5))
    assert statuses(gate, ALICE, 7) == [200] * 5 + [429] * 2
    refused = gate.client.post("/v1/jobs", headers=bearer(ALICE))
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert statuses(gate, BOB, 5) == [200] * 5
    assert [gate.client.get("/livez").status_code for _ in range(7)] == [200] * 7


def test_retry_after_is_right(open_gate: OpenGate, valkey: ValkeyServer) -> None:
    """After so many seconds the request is good; two seconds before it is not yet."""
    gate = open_gate(access=KEYS, limits=LimitSettings(requests_per_minute=5))
    statuses(gate, ALICE, 5)
    refused = gate.client.get("/v1/jobs", headers=bearer(ALICE))
    seconds = int(refused.headers["Retry-After"])
    assert 50 < seconds <= WINDOW + 1
    with Redis.from_url(valkey.url) as redis:
        pass_time(redis, seconds - 10)
        assert statuses(gate, ALICE, 1) == [429]
        pass_time(redis, 10)
        assert statuses(gate, ALICE, 2) == [200, 429]


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 60), st.data())
def test_retry_after_is_the_first_whole_second_that_will_do(
    previous: int, current: int, left: float, data: st.DataObject
) -> None:
    """By the rule that Redis counts by; `left` is until the current window ends."""

    def is_free(after: float) -> bool:
        before, now, weight = previous, current, left - after
        if weight < 0:  # what was current is the previous window now
            before, now, weight = current, 0, WINDOW + weight
        return floor(before * max(0.0, weight) / WINDOW) + now + 1 <= limit

    limit = data.draw(st.integers(max(1, current), 1001))
    if is_free(0.0):
        return
    seconds = seconds_until_free(previous, left, current, WINDOW + left, limit=limit)
    assert is_free(seconds + 1e-6)
    assert not is_free(seconds - 1 - 1e-6)


def test_all_processes_count_together(open_gate: OpenGate) -> None:
    """Two gates on one Redis are one."""
    same: dict[str, Any] = {
        "access": KEYS,
        "limits": LimitSettings(requests_per_minute=4),
        "queue": QueueSettings(name="shared"),
    }
    first, second = open_gate(**same), open_gate(**same)
    assert statuses(first, ALICE, 2) + statuses(second, ALICE, 3) == [200] * 4 + [429]


def test_a_tenants_own_bound_stands_before_that_of_all(open_gate: OpenGate) -> None:
    """Higher or lower."""
    gate = open_gate(
        access=KEYS,
        limits=LimitSettings(requests_per_minute=3),
        tenants={"alice": TenantSettings(requests_per_minute=5)},
    )
    assert statuses(gate, ALICE, 6) == [200] * 5 + [429]
    assert statuses(gate, BOB, 4) == [200] * 3 + [429]


@pytest.mark.parametrize(("pause", "told"), [(600.0, 1), (0.0, 3)])
def test_while_redis_is_away_requests_are_let_through(
    open_gate: OpenGate,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    pause: float,
    told: int,
) -> None:
    """The log says so, and until a pause is over Redis is not asked again."""
    monkeypatch.setattr(rates, "PAUSE", pause)
    (port,) = free_ports(1)
    away = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    gate = open_gate(access=KEYS, redis=away, limits=LimitSettings(requests_per_minute=1))
    with caplog.at_level(logging.WARNING, "app.access.rates"):
        assert statuses(gate, ALICE, 3) == [200] * 3
    assert [record.name for record in caplog.records].count("app.access.rates") == told


def test_once_redis_is_back_requests_are_counted_again(
    open_gate: OpenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has to be started anew."""
    monkeypatch.setattr(rates, "PAUSE", 0.0)
    with ValkeyServer() as server:
        redis = RedisSettings(url=SecretStr(server.url))
        gate = open_gate(access=KEYS, redis=redis, limits=LimitSettings(requests_per_minute=2))
        assert statuses(gate, ALICE, 3) == [200, 200, 429]
        server.stop()
        assert statuses(gate, ALICE, 2) == [200, 200]
        server.start()
        assert statuses(gate, ALICE, 3) == [200, 200, 429]


async def asked(
    gate: Gate,
    path: str,
    headers: dict[str, str],
    ended: asyncio.Event,
    inside: asyncio.Event | None = None,
) -> int:
    """The status of a request whose client stays until `ended`; `inside` once it was let in."""
    sent: list[Message] = []
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if inside is not None:  # routes ask whether the client is still there
            inside.set()
        if first:
            return first.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 5000),
        "server": ("localhost", 80),
        "scheme": "http",
    }
    await gate.client.app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def while_open(gate: Gate, paths: list[str], check: Callable[[], Awaitable[None]]) -> list[int]:
    """Alice has these open while `check` is made; their statuses once she has gone."""
    assert gate.client.portal is not None
    return gate.client.portal.call(_while_open, gate, paths, check)


async def _while_open(
    gate: Gate, paths: list[str], check: Callable[[], Awaitable[None]]
) -> list[int]:
    ended, inside = asyncio.Event(), [asyncio.Event() for _ in paths]
    tasks = [
        asyncio.create_task(asked(gate, path, bearer(ALICE), ended, event))
        for path, event in zip(paths, inside, strict=True)
    ]
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(event.wait() for event in inside))
        await check()
    finally:
        ended.set()
    return await asyncio.gather(*tasks)


def test_streams_that_are_open_at_once_are_bounded(open_gate: OpenGate) -> None:
    """Events and long polls together; each tenant has its own, and what is closed counts no
    more."""
    gate = open_gate(access=KEYS, tenants={"alice": TenantSettings(event_streams=3)})
    gate.register()
    gate.client.headers.update(bearer(ALICE))
    job_id = posted(gate)
    events, poll = f"/v1/jobs/{job_id}/events", f"/v1/jobs/{job_id}?wait=30"
    gone = asyncio.Event()
    gone.set()

    async def one_more_is_refused() -> None:
        assert await asked(gate, events, bearer(ALICE), gone) == 429
        assert await asked(gate, poll, bearer(ALICE), gone) == 429
        assert await asked(gate, f"/v1/jobs/{job_id}", bearer(ALICE), gone) == 200
        assert await asked(gate, events, bearer(BOB), gone) == 404

    for _ in range(2):
        opened = while_open(gate, [events, poll, events], one_more_is_refused)
        assert opened == [200, 200, 200]


def test_a_refused_stream_says_so(open_gate: OpenGate) -> None:
    """Its code is its own, and a stream that failed to open takes no place."""
    gate = open_gate(access=KEYS, limits=LimitSettings(event_streams=1))
    gate.client.headers.update(bearer(ALICE))
    for _ in range(3):
        response = gate.client.get("/v1/jobs/0123456789abcdefghjkmnpqrs/events")
        assert response.status_code == 404
    gate.register()
    job_id = posted(gate)

    async def is_refused() -> None:
        response = await asyncio.to_thread(gate.client.get, f"/v1/jobs/{job_id}?wait=1")
        assert (response.status_code, code_of(response)) == (429, "too_many_streams")
        assert response.headers["Retry-After"] == "5"

    while_open(gate, [f"/v1/jobs/{job_id}/events"], is_refused)
    request = gate.services.records.request("alice", job_id)
    assert request is not None
    gate.finish(request)
    assert gate.client.get(f"/v1/jobs/{job_id}?wait=1").status_code == 200


@given(
    own=st.none() | st.integers(1, 10),
    general=st.integers(1, 10),
    bound=st.none() | st.integers(1, 10),
)
def test_a_tenants_own_terms(own: int | None, general: int, bound: int | None) -> None:
    """They stand before those of all; an upload is never larger than all may send."""
    settings = Settings(
        limits=LimitSettings(upload=general, event_streams=general, requests_per_minute=bound),
        tenants={"a": TenantSettings(upload=own, event_streams=own, requests_per_minute=own)},
    )
    assert upload_limit(settings, "a") == min(general, own or general)
    assert upload_limit(settings, "b") == general
    assert stream_limit(settings, "a") == (own or general)
    assert request_limit(settings, "a") == (own or bound)
    assert request_limit(settings, "b") == bound


def test_a_tenants_own_concurrency(open_gate: OpenGate) -> None:
    """So many jobs are on their way at once, the others wait; another tenant has that of all."""
    gate = open_gate(access=KEYS, tenants={"alice": TenantSettings(concurrency=2)})
    gate.register()
    for text in (ALICE, BOB):
        gate.client.headers.update(bearer(text))
        for _ in range(4):
            posted(gate)
    assert len(gate.queued()) == 2 + 4
    assert gate.services.queue.depth() == 8
