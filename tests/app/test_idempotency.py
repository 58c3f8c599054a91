"""Idempotency-Key: a request that is sent again makes no second job."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.canonical import pretty_json
from core.store import layout
from tests.app.gate import Gate, code_of, weights_of

KEY = "4f8c2e9a"


def test_same_key_and_content_is_the_same_job(any_gate: Gate) -> None:
    """A client that lost the answer may send again."""
    any_gate.register()
    first = any_gate.post(idempotency_key=KEY)
    again = any_gate.post(idempotency_key=KEY)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    any_gate.finish(any_gate.request_of(first))
    ended = any_gate.post(idempotency_key=KEY)
    assert (ended.status_code, ended.json()["id"]) == (200, first.json()["id"])
    assert len(any_gate.client.get("/v1/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"weights": weights_of("x")},
        {"config": b'{"base_model_name_or_path": "acme/base-1b"}'},
        {"metadata": '{"a": "b"}'},
        {"alignment": "base"},
        {"policy": json.dumps({"selection": {"threshold": 0.9}})},
    ],
)
def test_same_key_for_something_else_is_refused(gate: Gate, change: dict[str, Any]) -> None:
    """A key that is used twice by mistake must not hide a job."""
    gate.register()
    gate.post(idempotency_key=KEY)
    response = gate.post(idempotency_key=KEY, **change)
    assert (response.status_code, code_of(response)) == (422, "idempotency_key_reused")


def test_without_a_key_each_request_is_a_job(gate: Gate) -> None:
    """Nobody asked for less."""
    gate.register()
    assert gate.post().json()["id"] != gate.post().json()["id"]


def test_refused_request_does_not_use_its_key_up(gate: Gate) -> None:
    """Once the alignment is registered, the same request is good."""
    refused = gate.post(idempotency_key=KEY)
    assert refused.status_code == 422
    gate.register()
    assert gate.post(idempotency_key=KEY).status_code == 202


def test_request_that_broke_off_is_finished_by_the_next(gate: Gate) -> None:
    """Claimed and never stored: the next attempt stores it under the job that was promised."""
    gate.register()
    first = gate.post(idempotency_key=KEY).json()["id"]
    gate.services.store.delete(layout.job_request("default", first))
    gate.services.store.delete(layout.pending("default", first))
    again = gate.post(idempotency_key=KEY)
    assert (again.status_code, again.json()["id"]) == (202, first)
    assert gate.services.records.request("default", first) is not None


def test_requests_at_the_same_time_make_one_job(any_gate: Gate) -> None:
    """The key is claimed by a conditional put: one wins, all get its job."""
    any_gate.register()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: any_gate.post(idempotency_key=KEY), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(any_gate.client.get("/v1/jobs").json()["jobs"]) == 1
    assert len(any_gate.queued()) == 1


@pytest.mark.parametrize("key", ["x" * 256, " ", "a\tb", "\u00a0"])
def test_odd_keys_are_refused(gate: Gate, key: str) -> None:
    """Short and printable: it is a name, not a message."""
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    files = {"adapter": weights_of("x"), "config": b"{}"}
    response = gate.client.post("/v1/jobs", files=files, headers=headers)
    assert (response.status_code, code_of(response)) == (422, "idempotency_key_invalid")


def test_unreadable_claim_is_our_fault(gate: Gate) -> None:
    """A store that was tampered with is a 5xx, not a second job."""
    gate.register()
    gate.services.store.put(layout.idempotency("default", KEY), pretty_json({"odd": 1}))
    response = gate.post(idempotency_key=KEY)
    assert (response.status_code, code_of(response)) == (500, "record_unreadable")
