"""Posting an adapter: what is accepted is kept, what is wrong with the request is said at once."""

import hashlib
import json
import math
from typing import Any

import pytest

from core.settings import RedisSettings
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.app.conftest import OpenGate
from tests.app.gate import BASE_NAME, CONFIG, WEIGHTS, Gate, code_of, weaker_policy, weights_of
from tests.archives import pack_tar, pack_zip, packers


def test_accepted_job_is_stored_before_the_answer(any_gate: Gate) -> None:
    """The request and both files, byte for byte, hashed, and the mark that it is pending."""
    any_gate.register()
    response = any_gate.post()
    assert response.status_code == 202
    assert response.headers["Location"] == response.json()["links"]["self"]
    assert response.headers["Retry-After"] == "1"
    request = any_gate.request_of(response)
    stored = {f.name: any_gate.services.store.get(f.key or "") for f in request.files}
    assert stored == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}
    for file in request.files:
        assert file.key == layout.job_input("default", request.id, file.name)
        assert file.sha256 == hashlib.sha256(stored[file.name]).hexdigest()
        assert file.size == len(stored[file.name])
    assert list(any_gate.services.records.pending()) == [("default", request.id)]
    assert any_gate.queued() == [request.id]


def test_answer_is_the_job(gate: Gate) -> None:
    """All that was asked and agreed on, under the state it is in."""
    record = gate.register()
    job = gate.post(metadata='{"run": "ft-1"}').json()
    assert job["state"] == "queued"
    assert job["alignment"] == {"name": "base", "id": record.id}
    assert job["policy"] == record.default_policy.as_json() | dict.fromkeys(
        ("rank", "energy_share", "side")
    )
    assert job["metadata"] == {"run": "ft-1"}
    assert {file["name"] for file in job["input"]} == {ADAPTER_MODEL, ADAPTER_CONFIG}
    assert job["links"] == {"self": f"/v1/jobs/{job['id']}"}


@packers
def test_archive_is_as_good_as_its_files(any_gate: Gate, pack: Any) -> None:
    """The two files are stored as if they had been sent, the names of others with the job."""
    any_gate.register()
    files = {f"my/{ADAPTER_MODEL}": WEIGHTS, f"my/{ADAPTER_CONFIG}": CONFIG, "my/README.md": b"x"}
    response = any_gate.client.post("/v1/jobs", files={"archive": pack(files)})
    assert response.status_code == 202
    request = any_gate.request_of(response)
    stored = {f.name: any_gate.services.store.get(f.key or "") for f in request.files}
    assert stored == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}
    assert request.other_names == ["README.md"]


def test_archive_without_the_adapter_is_the_gates_to_judge(gate: Gate) -> None:
    """What an adapter lacks is a finding, once it is known which alignment it is for."""
    gate.register()
    archive = pack_zip({"adapter_model.bin": b"\x80pickle"})
    response = gate.client.post("/v1/jobs", files={"archive": archive}, data={"alignment": "base"})
    assert response.status_code == 202
    request = gate.request_of(response)
    assert (request.files, request.other_names) == ([], ["adapter_model.bin"])


def test_hostile_archive_is_refused_at_once(gate: Gate) -> None:
    """It is the request that is wrong, and nothing was kept."""
    gate.register()
    response = gate.client.post("/v1/jobs", files={"archive": pack_tar({"../x": b"x"})})
    assert (response.status_code, code_of(response)) == (422, "archive_unsafe_path")
    assert list(gate.services.records.pending()) == []


def test_what_is_wrong_inside_the_config_is_not_judged_here(gate: Gate) -> None:
    """The worker finds it, and the job ends as rejected with findings."""
    gate.register()
    response = gate.post(config=b'{"r": NaN}', alignment="base")
    assert response.status_code == 202


def test_queue_that_is_down_costs_no_job(open_gate: OpenGate) -> None:
    """Accepted is accepted: the store keeps the job until the queue is back."""
    gate = open_gate(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    gate.register()
    response = gate.post()
    assert response.status_code == 202
    job_id = response.json()["id"]
    assert list(gate.services.records.pending()) == [("default", job_id)]
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"


def test_same_upload_is_answered_from_the_result(any_gate: Gate) -> None:
    """No second run: 200 with the result, as a job of its own."""
    any_gate.register()
    first = any_gate.post()
    any_gate.finish(any_gate.request_of(first))
    again = any_gate.post()
    assert again.status_code == 200
    job = again.json()
    assert job["id"] != first.json()["id"]
    assert (job["state"], job["verdict"]) == ("succeeded", "projected")
    assert job["from_earlier_result"] is True
    assert any_gate.client.get(job["links"]["report"]).status_code == 200
    assert list(any_gate.services.records.pending()) == []


@pytest.mark.parametrize(
    "change", [{"weights": weights_of("others")}, {"policy": '{"selection": {"threshold": 0.5}}'}]
)
def test_other_bytes_or_policy_make_another_result(gate: Gate, change: dict[str, Any]) -> None:
    """A result is for its recipe only."""
    gate.register()
    gate.finish(gate.request_of(gate.post()))
    assert gate.post(**change).status_code == 202


# --- alignment


def test_alignment_is_found_by_the_base_models_name(gate: Gate) -> None:
    """Exactly, among those that are ready."""
    gate.register("other", base_names=["acme/base"])
    gate.register("fits", base_names=["x", BASE_NAME])
    gate.register("late", base_names=[BASE_NAME], state="building", id=None)
    request = gate.request_of(gate.post())
    assert request.alignment.name == "fits"
    assert request.alignment.base_names == ["x", BASE_NAME]


@pytest.mark.parametrize(
    "config", [b"{}", b"[]", b"not json", b'{"base_model_name_or_path": ["acme/base-1b"]}', CONFIG]
)
def test_no_fitting_alignment_lists_what_there_is(gate: Gate, config: bytes) -> None:
    """A config that names no known model cannot choose; the answer says what can be named."""
    gate.register("other", base_names=["acme/base"])
    response = gate.post(config=config)
    assert (response.status_code, code_of(response)) == (422, "alignment_not_found")
    assert response.json()["registered"] == {"other": ["acme/base"]}


def test_several_fitting_alignments_are_listed(gate: Gate) -> None:
    """The gate does not guess."""
    gate.register("one")
    gate.register("two")
    response = gate.post()
    assert (response.status_code, code_of(response)) == (422, "alignment_ambiguous")
    assert response.json()["fitting"] == ["one", "two"]


@pytest.mark.parametrize("name", ["unknown", "../../jobs", "", "BASE", "base\n", "é"])
def test_unknown_alignment_lists_what_there_is(gate: Gate, name: str) -> None:
    """Whatever is named, it never becomes a path."""
    gate.register("base")
    response = gate.post(alignment=name)
    assert (response.status_code, code_of(response)) == (422, "alignment_unknown")
    assert response.json()["registered"] == ["base"]


@pytest.mark.parametrize("state", ["building", "failed"])
def test_alignment_that_is_not_ready_is_a_conflict(gate: Gate, state: str) -> None:
    """Later may be better, so it is no 422."""
    gate.register("base", state=state, id=None)
    response = gate.post(alignment="base")
    assert (response.status_code, code_of(response)) == (409, "alignment_not_ready")
    assert response.json()["state"] == state


def test_named_alignment_wins_over_the_config(gate: Gate) -> None:
    """A name that disagrees is the report's to mention."""
    gate.register("base", base_names=[])
    assert gate.post(alignment="base").status_code == 202


# --- policy


@pytest.mark.parametrize(
    "policy",
    [
        '{"selection": {"threshold": 2}}',
        '{"selection": {"threshold": NaN}}',
        '{"strength": Infinity}',
        '{"strength": 1e999}',
        '{"strength": "1.0"}',
        '{"methode": "safe_lora"}',
        '{"scores": "spectrum"}',
        '{"scores": "spectrum", "method": "zero"}',
        '{"method": "safe_lora", "method": "zero"}',
        '{"selection": {"mode": "regex"}}',
        "[" * 100_00,
        "no json",
        "",
        "3",
    ],
)
def test_invalid_policy_is_refused(gate: Gate, policy: str) -> None:
    """Out of range, not a number, unknown, doubled, at odds with itself or no JSON: 422 at once."""
    gate.register()
    response = gate.post(policy=policy)
    assert (response.status_code, code_of(response)) == (422, "policy_invalid")


def test_invalid_policy_names_the_field(gate: Gate) -> None:
    """τ = 2 is no cosine; the answer says where and why, and does not echo the input."""
    response = gate.post(policy='{"selection": {"threshold": 2.718281828}}')
    [problem] = response.json()["problems"]
    assert problem["field"] == "policy.selection.threshold"
    assert "less than or equal to 1" in problem["why"]
    assert "2.718281828" not in response.text


def test_default_policy_is_the_alignments(gate: Gate) -> None:
    """Not the built-in one."""
    record = gate.register(
        default_policy={"selection": {"mode": "threshold", "threshold": 0.6}},
    )
    assert gate.request_of(gate.post()).policy == record.default_policy


def test_floor_of_its_own_allows_less_than_the_default(gate: Gate) -> None:
    """The operator may let uploaders choose between floor and default."""
    gate.register(floor={"selection": {"mode": "threshold", "threshold": 0.05}})
    assert gate.post(policy=weaker_policy()).status_code == 202


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"method": "subspace", "rank": 5}, "alignment_rank_too_small"),
        ({"reference": True}, "alignment_not_float32"),
    ],
)
def test_policy_that_the_alignment_cannot_serve_is_refused(
    gate: Gate, policy: dict[str, Any], code: str
) -> None:
    """Known from the manifest, so said at once."""
    gate.register(storage_loss=0.001)
    response = gate.post(policy=json.dumps(policy))
    assert (response.status_code, code_of(response)) == (422, code)


# --- metadata


@pytest.mark.parametrize(
    "metadata",
    [
        "[]",
        '{"a": 1}',
        '{"a": {"b": "c"}}',
        '{"a": "\\ud800"}',
        '{"": "x"}',
        json.dumps({"a": "x" * 1025}),
        json.dumps({"k" * 65: "x"}),
        json.dumps({str(n): "" for n in range(65)}),
        '{"a": NaN}',
        "text",
    ],
)
def test_metadata_is_a_small_map_of_texts(gate: Gate, metadata: str) -> None:
    """It is stored with the job, so its shape is held."""
    gate.register()
    response = gate.post(metadata=metadata)
    assert (response.status_code, code_of(response)) == (422, "metadata_invalid")


def test_no_nan_in_any_answer(gate: Gate) -> None:
    """What a job says is JSON as RFC 8259 has it."""
    gate.register()
    text = gate.post().text
    json.loads(text, parse_constant=lambda _: pytest.fail("a NaN"))
    assert str(math.nan) not in text.lower()
