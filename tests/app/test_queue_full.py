"""A queue that holds as many jobs as it may: later, please, and nothing was read."""

import logging
from typing import Any

import anyio
import pytest
from starlette.types import Message, Scope

from core.settings import QueueSettings, RedisSettings
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.gate import WEIGHTS, Gate, code_of, weights_of
from tests.app.test_access import access, bearer, key

KEY = "4f8c2e9a"


@pytest.fixture
def gate(open_gate: OpenGate, request: pytest.FixtureRequest) -> Gate:
    """A gate that takes two jobs."""
    gate = open_gate(queue=QueueSettings(name=f"test-{request.node.name}", max_depth=2))
    gate.register()
    return gate


def fill(gate: Gate) -> None:
    for text in ("first", "second"):
        assert gate.post(weights=weights_of(text)).status_code == 202


def test_job_over_the_bound_is_refused(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """503, when to come back, and what to do; nobody's fault is logged, and nothing is kept."""
    fill(gate)
    stored = list(gate.services.store.list("tenants/"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        response = gate.post(idempotency_key=KEY)
    assert (response.status_code, code_of(response)) == (503, "queue_full")
    assert response.headers["Retry-After"] == "30"
    assert "Retry-After" in response.json()["detail"]
    assert caplog.records == []
    assert list(gate.services.store.list("tenants/")) == stored
    assert len(gate.queued()) == 2


def test_source_is_refused_as_an_upload_is(gate: Gate) -> None:
    """Whatever kind of body it would have been."""
    fill(gate)
    response = gate.client.post("/v1/jobs", json={"source": "s3://adapters/one/"})
    assert (response.status_code, code_of(response)) == (503, "queue_full")


def test_no_byte_of_the_body_is_asked_for(gate: Gate) -> None:
    """A gigabyte that would be thrown away need not come: a client that sends it is cut off."""
    fill(gate)
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/jobs",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"multipart/form-data; boundary=b"),
            (b"content-length", b"1073741824"),
        ],
        "client": ("127.0.0.1", 50000),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    anyio.run(gate.client.app, scope, receive, send)
    assert sent[0]["status"] == 503
    assert (b"connection", b"close") in sent[0]["headers"]


def test_place_that_is_free_again_is_given(gate: Gate) -> None:
    """What a worker has in hand waits no longer."""
    fill(gate)
    gate.services.queue.redis.lpop(gate.services.queue.rq.key)
    assert gate.post().status_code == 202
    assert gate.post().status_code == 503


def test_what_is_there_is_shown_all_the_same(gate: Gate) -> None:
    """Only new jobs are refused."""
    fill(gate)
    [last, first] = gate.client.get("/v1/jobs").json()["jobs"]
    assert gate.client.get(first["links"]["self"]).json()["state"] == "queued"
    assert gate.client.get(last["links"]["self"]).status_code == 200


def test_key_of_an_accepted_job_is_answered(gate: Gate) -> None:
    """It is no new job: a caller that lost the answer gets it, until the end and after it."""
    first = gate.post(idempotency_key=KEY)
    gate.post(weights=weights_of("second"))
    again = gate.post(idempotency_key=KEY)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    gate.finish(gate.request_of(first))
    ended = gate.post(idempotency_key=KEY)
    assert (ended.status_code, ended.json()["id"]) == (200, first.json()["id"])
    assert len(gate.queued()) == 2


def test_key_is_no_way_round_the_bound(gate: Gate) -> None:
    """Neither for another request, nor for one that was claimed and never stored, nor as no key."""
    first = gate.post(idempotency_key=KEY)
    gate.post(weights=weights_of("second"))
    other = gate.post(weights=weights_of("third"), idempotency_key=KEY)
    assert (other.status_code, code_of(other)) == (422, "idempotency_key_reused")
    gate.services.store.delete(layout.job_request("default", first.json()["id"]))
    unfinished = gate.post(idempotency_key=KEY)
    assert (unfinished.status_code, code_of(unfinished)) == (503, "queue_full")
    odd = gate.post(idempotency_key="x" * 256)
    assert (odd.status_code, code_of(odd)) == (422, "idempotency_key_invalid")
    assert len(gate.queued()) == 2


def test_earlier_result_is_no_exception(gate: Gate) -> None:
    """Only its bytes would tell that it is there; with room again it answers."""
    first = gate.post()
    gate.post(weights=weights_of("second"))
    gate.finish(gate.request_of(first))
    assert gate.post(weights=WEIGHTS).status_code == 503
    gate.services.queue.redis.lpop(gate.services.queue.rq.key)
    assert gate.post(weights=WEIGHTS).status_code == 200


def test_key_is_the_tenants_own(open_gate: OpenGate) -> None:
    """That another one's job has it is nothing to tell."""
    both = access(key("one", "one", "jobs"), key("two", "two", "jobs"))
    gate = open_gate(access=both, queue=QueueSettings(name="test-tenants", max_depth=1))
    gate.register()

    def post(secret: str) -> Any:
        return gate.client.post(
            "/v1/jobs",
            files={"adapter": WEIGHTS, "config": b"{}"},
            data={"alignment": "base"},
            headers={**bearer(secret), "Idempotency-Key": KEY},
        )

    assert [post(who).status_code for who in ("one", "two", "one")] == [202, 503, 202]


def test_stranger_is_turned_away_first(open_gate: OpenGate) -> None:
    """How busy the gate is, is nothing to tell either."""
    one = access(key("one", "one", "jobs"))
    gate = open_gate(access=one, queue=QueueSettings(name="test-strangers", max_depth=1))
    gate.services.queue.redis.rpush(gate.services.queue.rq.key, "waiting")
    assert gate.post().status_code == 401


def test_queue_that_cannot_be_asked_is_not_full(open_gate: OpenGate) -> None:
    """The store is the truth, and takes the job."""
    redis = RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"})
    gate = open_gate(redis=redis, queue=QueueSettings(max_depth=1))
    gate.register()
    assert [gate.post().status_code for _ in range(2)] == [202, 202]


def test_refusal_is_in_the_document(gate: Gate) -> None:
    """By its code, with an example that is as the answer but for its words."""
    fill(gate)
    document = gate.client.get("/openapi.json").json()
    described = document["paths"]["/v1/jobs"]["post"]["responses"]["503"]
    [example] = [
        found["value"]
        for code, found in described["content"]["application/problem+json"]["examples"].items()
        if code == "queue_full"
    ]
    answer = gate.post().json()
    assert example | {"detail": ""} == answer | {"detail": ""}
    assert "Retry-After" in described["headers"]
