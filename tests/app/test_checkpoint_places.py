"""Registering pairs that lie in S3 or on a model hub."""

from typing import Any

import pytest

from core.settings import AlignmentSettings
from core.store.settings import S3Access
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def gate(open_gate: OpenGate) -> Gate:
    """Where it would ask, nobody answers."""
    return open_gate(
        alignments=AlignmentSettings(
            s3_allow=["s3://models/team/"],
            s3=S3Access(endpoint_url=NOWHERE),
            hub_allow=["acme/"],
            hub_endpoint=NOWHERE,
        )
    )


def order(base: str, aligned: str = "hf://acme/chat@v1") -> dict[str, Any]:
    return {"name": "base-1b", "base": base, "aligned": aligned}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("s3://models/team/base", "s3://models/team/base/"),
        ("hf://acme/base", "hf://acme/base@main"),
    ],
)
def test_pair_is_registered_without_asking_for_it(gate: Gate, given: str, kept: str) -> None:
    """202, with the places in their one spelling: either spelling again is the same request."""
    response = gate.client.post("/v1/alignments", json=order(given))
    assert response.status_code == 202
    assert (response.json()["base"], response.json()["aligned"]) == (kept, "hf://acme/chat@v1")
    again = gate.client.post("/v1/alignments", json=order(kept))
    assert (again.status_code, again.json()) == (202, response.json())
    assert len(gate.queued()) == 1


@pytest.mark.parametrize(
    ("base", "status", "code"),
    [
        ("s3://models/teammate/base/", 403, "source_not_allowed"),
        ("hf://acme2/base", 403, "source_not_allowed"),
        ("s3://models/team/../other/", 422, "source_invalid"),
        ("hf://acme/base@..", 422, "source_invalid"),
        ("https://acme/base", 422, "source_invalid"),
    ],
)
def test_other_places_are_refused(gate: Gate, base: str, status: int, code: str) -> None:
    """With the field at fault, and nothing is registered."""
    response = gate.client.post("/v1/alignments", json=order(base))
    assert (response.status_code, code_of(response)) == (status, code)
    assert response.json()["field"] == "base"
    assert gate.client.get("/v1/alignments").json() == {"alignments": []}
