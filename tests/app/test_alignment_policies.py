"""Changing how adapters are judged, without building anything again."""

import json
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from app.api.alignments import PoliciesOrder
from core.alignments import AlignmentPolicies, AlignmentRecord
from core.jobs import now
from core.policy import Policy
from core.settings import AlignmentSettings
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of, weaker_policy
from tests.app.test_access import KEY, OTHER_KEY, access, bearer, key

MILD: dict[str, Any] = {"selection": {"mode": "threshold", "threshold": 0.2}}
STRICT: dict[str, Any] = {"selection": {"mode": "threshold", "threshold": 0.6}}


def patch(gate: Gate, body: Any, name: str = "base") -> Response:
    return gate.client.patch(f"/v1/alignments/{name}", json=body)


def threshold(policy: Any) -> float:
    found: float = policy["selection"]["threshold"]
    return found


def test_default_policy_is_changed_and_the_floor_follows(any_gate: Gate) -> None:
    """Where no floor was given; jobs that name no policy get the new one, weaker ones are told."""
    any_gate.register()
    answer = patch(any_gate, {"default_policy": STRICT})
    assert answer.status_code == 200
    assert answer.json() == any_gate.client.get("/v1/alignments/base").json()
    assert answer.json()["floor"] == answer.json()["default_policy"]
    assert any_gate.post(alignment="base").json()["policy"]["selection"] == {
        **STRICT["selection"],
        "families": {},
    }


def test_accepted_jobs_keep_their_policy(gate: Gate) -> None:
    """It was agreed on when the job was accepted."""
    gate.register()
    accepted = gate.post(alignment="base")
    patch(gate, {"default_policy": STRICT})
    seen = gate.client.get(f"/v1/jobs/{accepted.json()['id']}").json()
    assert threshold(seen["policy"]) == 0.35
    assert gate.request_of(accepted).policy == Policy()


def test_what_is_absent_stays(gate: Gate) -> None:
    """Each field alone, and none; null gives the floor back to the default policy."""
    gate.register()
    seen = [
        patch(gate, body).json()
        for body in ({"floor": MILD}, {"default_policy": STRICT}, {}, {"floor": None})
    ]
    found = [(threshold(a["default_policy"]), threshold(a["floor"])) for a in seen]
    assert found == [(0.35, 0.2), (0.6, 0.2), (0.6, 0.2), (0.6, 0.6)]


def test_a_policy_is_replaced_as_a_whole(gate: Gate) -> None:
    """Fields that are not given have the built-in default, as in a registration."""
    gate.register(default_policy=Policy.model_validate({"strength": 0.5}))
    assert patch(gate, {"default_policy": MILD}).json()["default_policy"]["strength"] == 1.0


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"default_policy": None}, "validation_failed", "body.default_policy"),
        ({"default_policy": {"strength": 3}}, "validation_failed", "body.default_policy.strength"),
        ({"base": "/etc"}, "validation_failed", "body.base"),
        ({"rank": 8}, "validation_failed", "body.rank"),
        ([], "validation_failed", "body"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(
    gate: Gate, body: Any, code: str, field: str
) -> None:
    """Unknown fields, those of the pair, and policies that are none."""
    gate.register()
    answer = patch(gate, body)
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert answer.json()["problems"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"floor": STRICT}, "default_below_floor"),
        (
            {"default_policy": {"method": "complement", "side": "input", "rank": 3}},
            "alignment_rank_too_small",
        ),
        ({"default_policy": {"reference": True}}, "alignment_not_float32"),
    ],
)
def test_policies_that_cannot_be_served_are_refused(
    gate: Gate, body: dict[str, Any], code: str
) -> None:
    """A default below the floor, or more than the alignment holds; nothing is changed."""
    gate.register(storage_loss=0.001)
    before = gate.client.get("/v1/alignments/base").json()
    answer = patch(gate, body)
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert gate.client.get("/v1/alignments/base").json() == before


def test_scope_alignments_is_needed(open_gate: OpenGate) -> None:
    """The uploader must not choose a weaker policy, by this way either."""
    gate = open_gate(access=access(key(KEY, "alice", "jobs"), key(OTHER_KEY, "bob", "alignments")))
    gate.register()
    gate.client.headers.update(bearer(KEY))
    refused = patch(gate, {"default_policy": json.loads(weaker_policy())})
    assert (refused.status_code, code_of(refused)) == (403, "scope_missing")
    gate.client.headers.update(bearer(OTHER_KEY))
    assert patch(gate, {"default_policy": json.loads(weaker_policy())}).status_code == 200


def test_unknown_names_are_not_found(gate: Gate) -> None:
    """404, as for every other call."""
    answer = patch(gate, {"default_policy": MILD}, "nobody")
    assert (answer.status_code, code_of(answer)) == (404, "alignment_not_found")


def test_example_of_the_documentation_is_taken(gate: Gate) -> None:
    """By the same model that the API reads with."""
    operation = gate.client.get("/openapi.json").json()["paths"]["/v1/alignments/{name}"]["patch"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/PoliciesOrder"}
    PoliciesOrder.model_validate(content["example"])


# Registrations posted again


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Any]:
    """The body of a registration."""
    for name in ("base", "aligned"):
        (tmp_path / "models" / name).mkdir(parents=True)
    folders = {name: str(tmp_path / "models" / name) for name in ("base", "aligned")}
    return {"name": "pair", **folders}


@pytest.fixture
def registered(open_gate: OpenGate, tmp_path: Path, pair: dict[str, Any]) -> Gate:
    """A gate with that pair, given other policies since."""
    gate = open_gate(alignments=AlignmentSettings(roots=[tmp_path / "models"]))
    assert gate.client.post("/v1/alignments", json=pair).status_code == 202
    assert patch(gate, {"default_policy": STRICT}, "pair").status_code == 200
    return gate


def ended(gate: Gate, **fields: Any) -> None:
    """Its build ended, as a worker records it that started before the policies were changed."""
    standing = gate.services.records.alignment("pair")
    assert standing is not None
    before = AlignmentPolicies(default_policy=Policy(), floor=None)
    gate.services.records.finish_build(standing.under(before).model_copy(update=fields))


def test_policies_outlive_the_build(registered: Gate, pair: dict[str, Any]) -> None:
    """What was changed while it ran stands after it, however it ended; the same registration is
    no error, and builds anew what failed under the policies it was given since."""
    ended(registered, state="failed", finished_at=now())
    seen = registered.client.get("/v1/alignments/pair").json()
    assert (seen["state"], threshold(seen["default_policy"])) == ("failed", 0.6)
    again = registered.client.post("/v1/alignments", json=pair)
    assert (again.status_code, again.json()["state"]) == (202, "building")
    assert threshold(again.json()["default_policy"]) == 0.6


@pytest.mark.parametrize("fields", [{}, {"default_policy": STRICT}, {"floor": None}])
def test_the_same_registration_is_still_the_same(
    registered: Gate, pair: dict[str, Any], fields: dict[str, Any]
) -> None:
    """It names no policies, or those that stand."""
    alignment_id = registered.register("stored").id
    ended(registered, state="ready", id=alignment_id)
    answer = registered.client.post("/v1/alignments", json={**pair, **fields})
    assert (answer.status_code, threshold(answer.json()["default_policy"])) == (200, 0.6)


@pytest.mark.parametrize("fields", [{"default_policy": {}}, {"floor": {}}])
def test_other_policies_are_told_from_another_pair(
    registered: Gate, pair: dict[str, Any], fields: dict[str, Any]
) -> None:
    """409 with words on how to change them; another pair has a code of its own."""
    answer = registered.client.post("/v1/alignments", json={**pair, **fields})
    assert (answer.status_code, code_of(answer)) == (409, "alignment_policies_differ")
    assert "PATCH /v1/alignments/pair" in answer.json()["detail"]
    other = registered.client.post("/v1/alignments", json={**pair, **fields, "rank": 7})
    assert (other.status_code, code_of(other)) == (409, "alignment_exists")


def test_a_name_registered_anew_has_its_own_policies(
    registered: Gate, pair: dict[str, Any]
) -> None:
    """Those of the registration that was removed are gone with it."""
    registered.client.delete("/v1/alignments/pair")
    answer = registered.client.post("/v1/alignments", json=pair)
    assert threshold(answer.json()["default_policy"]) == 0.35


def test_a_name_that_is_given_away_meanwhile_is_left_alone(
    registered: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed, or registered anew, between look and write: nothing is brought back."""
    records = registered.services.records
    old = records.alignment("pair")
    assert old is not None
    records.remove_alignment("pair")
    expected: list[tuple[AlignmentRecord | None, int, str]] = [
        (None, 404, "alignment_not_found"),
        (old.model_copy(update={"created_at": now()}), 409, "alignment_changed"),
    ]
    for standing, status, code in expected:
        if standing is not None:
            records.save_alignment(standing)
        with monkeypatch.context() as patched:
            patched.setattr("app.api.alignments.find_alignment", lambda *_: old)
            answer = patch(registered, {"default_policy": MILD}, "pair")
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert records.alignment("pair") == standing
    assert list(registered.services.store.list("alignments/policies/")) == []
