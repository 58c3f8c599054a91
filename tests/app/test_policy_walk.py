"""Every way to weaken a floor, of every field of a policy, by an uploader's key: refused.

A field, a mode, a cap or a code that is new and has no case here fails a test.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args
from uuid import uuid4

import pytest
from httpx2 import Response

from core.findings import RULES, STRIPPABLE
from core.jobs import JobFailure, JobResult, JobState, now
from core.policy import Caps, MethodName, Policy, Scoring, Selection, Side, Suspicion
from core.scopes import JOBS, POLICY_OVERRIDE
from core.settings import SourceSettings
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.test_access import access, bearer, key
from tests.buckets import BUCKET, foreign_bucket
from tests.buckets import access as s3_access
from tests.servers import SeaweedServer

UPLOADER, OPERATOR = "slg_alice-secret", "slg_root-secret"
Fields = dict[str, Any]

TOP = {"method": "complement", "rank": 2, "side": "both", "families": {"q_proj": {"rank": 2}}}
SHARE = {"method": "complement", "energy_share": 0.3, "side": "both"}
FLOORS: dict[str, Fields] = {
    "plain": {
        "selection": {"threshold": 0.35, "families": {"q_proj": 0.5}},
        "suspicious": "refuse",
    },
    "relative": {"selection": {"mode": "relative", "ratio": 2.0, "families": {"q_proj": 3.0}}},
    "count": {"selection": {"mode": "lowest", "count": 4}},
    "share": {"selection": {"mode": "lowest", "share": 0.5}},
    "all": {"selection": {"mode": "all"}},
    "zero": {"method": "zero", "selection": {"mode": "all"}},
    "half": {"strength": 0.5},
    "top": {**TOP, "strength": 1.5, "selection": {"mode": "all"}},
    "top-share": {**SHARE, "selection": {"mode": "all"}},
    "kept": {"method": "subspace", "rank": 1, "selection": {"mode": "all"}},
    "reference": {"reference": True},
}

SELECTIONS: dict[str, list[tuple[str, Fields]]] = {
    "threshold": [
        ("plain", {"threshold": 0.34, "families": {"q_proj": 0.5}}),
        ("plain", {"threshold": 0.0}),
        ("plain", {"threshold": 0.35}),  # q_proj falls to 0.35
        ("plain", {"threshold": 0.9, "families": {"q_proj": 0.49}}),
        ("plain", {"threshold": 0.9, "families": {"v_proj": 0.34}}),
        ("plain", {"threshold": 0.9, "families": {"self_attn.q_proj": 0.49}}),
        *((floor, {"threshold": 1.0}) for floor in ("relative", "count", "share", "all")),
    ],
    "relative": [
        ("relative", {"ratio": 1.9, "families": {"q_proj": 3.0}}),
        ("relative", {"ratio": 2.0}),
        ("relative", {"ratio": 9.0, "families": {"q_proj": 2.9}}),
        *((floor, {"ratio": 100.0}) for floor in ("plain", "count", "share", "all")),
    ],
    "lowest": [
        ("count", {"count": 3}),
        ("count", {"count": 0}),
        ("count", {"share": 1.0}),
        ("share", {"share": 0.49}),
        ("share", {"share": 0.0}),
        ("share", {"count": 10_000}),
        *((floor, {"share": 1.0}) for floor in ("plain", "relative", "all")),
        *((floor, {"count": 10_000}) for floor in ("plain", "relative", "all")),
    ],
    # These choose every module, or publish nothing: they weaken no floor by themselves.
    "all": [],
    "none": [],
}


def floor_with(name: str, **fields: Any) -> tuple[str, Fields]:
    """The floor itself, but for these fields."""
    return name, {**FLOORS[name], **fields}


def of_method() -> Iterator[tuple[str, Fields]]:
    needed: dict[str, Fields] = {"subspace": {"rank": 1}, "complement": {"rank": 2, "side": "both"}}
    for floor, method in itertools.product(FLOORS, get_args(MethodName)):
        if method not in (FLOORS[floor].get("method", "safe_lora"), "zero"):
            yield floor, {"selection": {"mode": "all"}, "method": method, **needed.get(method, {})}
    yield "plain", {"method": "none"}
    yield "plain", {"method": None}


def of_strength() -> Iterator[tuple[str, Fields]]:
    for value in (0.999, 0.5, 0.0, -1.0, 1.001, 2.0, 2.001, None, "1"):
        yield floor_with("plain", strength=value)
    yield floor_with("half", strength=0.499)
    for value in (1.499, 1.001, 1.501, 2.0, 0.999):
        yield floor_with("top", strength=value)


def of_directions(field: str) -> Iterator[tuple[str, Fields]]:
    """`rank`, `energy_share` or `families` of a method that has them; no other method takes any."""
    values: dict[str, list[tuple[str, Any]]] = {
        "rank": [("top", 1), ("top", 0), ("top", None), ("kept", 2), ("kept", None)],
        "energy_share": [("top-share", 0.299), ("top-share", 0.0), ("top-share", 1.001)],
        "families": [
            ("top", {"q_proj": {"rank": 1}}),
            ("top", {"v_proj": {"rank": 1}}),
            ("top", {"q_proj": {"energy_share": 1.0}}),
            ("kept", {"q_proj": {"rank": 2}}),
        ],
    }
    for floor, value in values[field]:
        yield floor_with(floor, **{field: value})
    if field == "rank":
        yield "top-share", {**FLOORS["top-share"], "energy_share": None, "rank": 2}
    if field == "energy_share":
        yield "top", {**FLOORS["top"], "rank": None, "energy_share": 1.0}
    taken = {"rank": 2, "energy_share": 1.0, "families": {"q_proj": {"rank": 2}}}
    yield floor_with("plain", **{field: taken[field]})


def of_side() -> Iterator[tuple[str, Fields]]:
    yield from (floor_with("top", side=side) for side in (*get_args(Side), None) if side != "both")
    yield floor_with("plain", side="both")


def of_selection() -> Iterator[tuple[str, Fields]]:
    for mode, cases in SELECTIONS.items():
        for floor, fields in cases:
            yield floor_with(floor, selection={"mode": mode, **fields})
    yield floor_with("plain", selection={"mode": "other"})
    yield floor_with("plain", selection={"threshold": 1.1})
    yield floor_with("plain", selection=None)


def of_reference() -> Iterator[tuple[str, Fields]]:
    yield floor_with("plain", reference=True)
    yield floor_with("reference", reference=False)


def of_scores() -> Iterator[tuple[str, Fields]]:
    for scores in get_args(Scoring):
        if scores != "all":
            yield floor_with("zero", scores=scores)
            yield floor_with("top", scores=scores)
            yield floor_with("plain", scores=scores)


def of_extras() -> Iterator[tuple[str, Fields]]:
    yield floor_with("plain", extras={"default": "strip"})
    for code in (*RULES, "no_such_code"):
        yield floor_with("plain", extras={"codes": {code: "strip"}})
    others = dict.fromkeys(sorted(STRIPPABLE)[1:], "refuse")
    yield floor_with("plain", extras={"default": "strip", "codes": others})
    yield floor_with("plain", extras={"default": "keep"})


def of_suspicious() -> Iterator[tuple[str, Fields]]:
    for value in (*get_args(Suspicion), "ignore", None):
        if value != "refuse":
            yield floor_with("plain", suspicious=value)


def of_caps() -> Iterator[tuple[str, Fields]]:
    for name, field in Caps.model_fields.items():
        higher = field.default + (1 if isinstance(field.default, int) else 0.001)
        for value in (higher, field.default * 1000, None, -1):
            yield floor_with("plain", caps={name: value})
            yield floor_with("all", caps={name: value})
        yield "plain", {"selection": {"mode": "none"}, "caps": {name: higher}}


WEAKER = {
    "method": of_method,
    "strength": of_strength,
    "rank": lambda: of_directions("rank"),
    "energy_share": lambda: of_directions("energy_share"),
    "families": lambda: of_directions("families"),
    "side": of_side,
    "selection": of_selection,
    "reference": of_reference,
    "scores": of_scores,
    "extras": of_extras,
    "suspicious": of_suspicious,
    "caps": of_caps,
}
CASES = [(field, *case) for field, cases in WEAKER.items() for case in cases()]


@dataclass(frozen=True)
class Walked:
    """A gate, and where an adapter lies in S3."""

    gate: Gate
    source: str

    def upload(self, floor: str, policy: Fields) -> Response:
        return self.gate.post(alignment=floor, policy=json.dumps(policy))

    def read_source(self, floor: str, policy: Fields) -> Response:
        body = {"source": self.source, "alignment": floor, "policy": policy}
        return self.gate.client.post("/v1/jobs", json=body)

    def kept(self) -> list[str]:
        return list(self.gate.services.store.list("tenants/"))


@pytest.fixture
def walked(open_gate: OpenGate, seaweed: SeaweedServer) -> Iterator[Walked]:
    """An alignment for each floor, and an adapter in S3; the uploader is calling."""
    folder = uuid4().hex
    source = f"s3://{BUCKET}/{folder}/"
    opened = open_gate(
        bearer(UPLOADER),
        access=access(
            key(UPLOADER, "alice", JOBS),
            key(OPERATOR, "alice", JOBS, POLICY_OVERRIDE),
        ),
        sources=SourceSettings(s3_allow=[source], s3=s3_access(seaweed)),
    )
    store = foreign_bucket(seaweed, folder)
    store.put(ADAPTER_MODEL, WEIGHTS)
    store.put(ADAPTER_CONFIG, CONFIG)
    for name, floor in FLOORS.items():
        opened.register(name, default_policy=floor)
    yield Walked(opened, source)
    store.close()


def is_refused(response: Response, field: str) -> bool:
    """As weaker than the floor, in this field; or as no policy at all."""
    if response.status_code == 422:
        return code_of(response) == "policy_invalid"
    of_method = {"rank", "energy_share", "families", "side"}  # how a method is meant
    named = {"method"} if field in of_method else {field}
    found = {name.partition(".")[0] for name in response.json().get("fields", [])}
    return (response.status_code, code_of(response)) == (403, "policy_below_floor") and (
        found >= named
    )


def test_every_field_has_its_cases() -> None:
    """So has every mode of a selection."""
    assert WEAKER.keys() == Policy.model_fields.keys()
    modes = {
        get_args(kind.model_fields["mode"].annotation)[0]
        for kind in get_args(get_args(Selection)[0])
    }
    assert SELECTIONS.keys() == modes
    assert all(any(field == case[0] for case in CASES) for field in WEAKER)


@pytest.mark.parametrize("way", [Walked.upload, Walked.read_source])
def test_nothing_is_let_in_below_the_floor(
    walked: Walked, way: Callable[[Walked, str, Fields], Response]
) -> None:
    """Each case is refused, in the field that it weakens, and nothing of it is kept; and not each
    case of a field is refused for being no policy."""
    weaker = set()
    for field, floor, policy in CASES:
        response = way(walked, floor, policy)
        assert is_refused(response, field), (floor, policy, response.text)
        if response.status_code == 403:
            weaker.add(field)
    assert weaker == WEAKER.keys()
    assert walked.kept() == []


def test_no_retry_goes_below_the_floor(walked: Walked) -> None:
    """A job that the operator's key was let in with is not done again for the uploader's."""
    client, records = walked.gate.client, walked.gate.services.records
    weaker = set()
    for field, floor, policy in CASES:
        client.headers.update(bearer(OPERATOR))
        posted = walked.read_source(floor, policy)
        client.headers.update(bearer(UPLOADER))
        if posted.status_code != 202:
            assert code_of(posted) in ("policy_invalid", "alignment_rank_too_small"), posted.text
            continue
        job_id = posted.json()["id"]
        error = JobFailure(code="engine_error", message="why")
        end = JobResult(state=JobState.FAILED, finished_at=now(), error=error)
        records.finish("alice", job_id, end)
        before = walked.kept()
        response = client.post(f"/v1/jobs/{job_id}/retry")
        assert is_refused(response, field), (floor, policy, response.text)
        assert walked.kept() == before
        weaker.add(field)
    assert weaker == WEAKER.keys()


def test_the_floors_themselves_are_let_in(walked: Walked) -> None:
    """Else the tests above would be about nothing; and so is a policy that publishes nothing."""
    for floor, policy in FLOORS.items():
        assert walked.upload(floor, policy).status_code == 202
        nothing = {"selection": {"mode": "none"}}
        assert walked.read_source(floor, nothing).status_code == 202
