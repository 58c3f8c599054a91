"""Registering pairs of checkpoints, and seeing which are ready."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.alignments import MANIFEST_FILE, AlignmentRecord, BuildFailure, PairWarning
from core.jobs import Progress, now
from core.queue import build_id
from core.settings import AlignmentSettings, RedisSettings
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder that holds a pair, and beside it one that is not allowed."""
    for name in ("models/base", "models/aligned", "private/base"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "models/file").touch()
    (tmp_path / "models/escape").symlink_to(tmp_path / "private")
    (tmp_path / "models/circle").symlink_to(tmp_path / "models/circle")
    return tmp_path / "models"


@pytest.fixture
def gate(open_gate: OpenGate, root: Path) -> Gate:
    return open_gate(alignments=AlignmentSettings(roots=[root]))


def order(root: Path, **fields: Any) -> dict[str, Any]:
    return {
        "name": "base-1b",
        "base": str(root / "base"),
        "aligned": str(root / "aligned"),
        "base_names": ["acme/base-1b"],
        **fields,
    }


def test_registered_pair_is_queued_to_be_built(gate: Gate, root: Path) -> None:
    """202 with the record; one task on the queue, which names the alignment."""
    response = gate.client.post("/v1/alignments", json=order(root))
    assert response.status_code == 202
    assert response.headers["Location"] == "/v1/alignments/base-1b"
    record = response.json()
    assert (record["state"], record["id"], record["rank"]) == ("building", None, 64)
    assert record["floor"] == record["default_policy"]
    [task] = gate.services.queue.rq.jobs
    assert task.kwargs == {"name": "base-1b"}
    assert gate.client.get("/v1/alignments/base-1b").json() == record
    assert gate.client.get("/v1/alignments").json() == {"alignments": [record]}


def test_same_request_again_is_the_same_alignment(gate: Gate, root: Path) -> None:
    """Also where the path is spelled another way; it is queued once."""
    first = gate.client.post("/v1/alignments", json=order(root)).json()
    spelled = order(root, base=f"{root}/../models/base/")
    again = gate.client.post("/v1/alignments", json=spelled)
    assert (again.status_code, again.json()) == (202, first)
    assert len(gate.queued()) == 1


def test_taken_name_is_a_conflict(gate: Gate, root: Path) -> None:
    """A name never changes its meaning under those who use it."""
    gate.client.post("/v1/alignments", json=order(root))
    response = gate.client.post("/v1/alignments", json=order(root, rank=32))
    assert (response.status_code, code_of(response)) == (409, "alignment_exists")


def finished(gate: Gate, root: Path, **fields: Any) -> AlignmentRecord:
    """The pair registered, and its build ended, as a worker would leave it."""
    gate.client.post("/v1/alignments", json=order(root))
    standing = gate.services.records.alignment("base-1b")
    assert standing is not None
    gate.services.queue.redis.flushdb()
    ended = standing.model_copy(update={"finished_at": now(), **fields})
    gate.services.records.save_alignment(ended)
    return ended


def test_ready_alignment_is_not_built_again(gate: Gate, root: Path) -> None:
    """200: there is nothing to wait for."""
    alignment_id = gate.register("stored").id
    finished(gate, root, state="ready", id=alignment_id)
    response = gate.client.post("/v1/alignments", json=order(root))
    assert (response.status_code, response.json()["id"]) == (200, alignment_id)
    assert gate.queued() == []


def test_ready_alignment_that_is_gone_is_built_again(gate: Gate, root: Path) -> None:
    """Under its own name, once the store has lost its manifest; another pair still may not."""
    finished(gate, root, state="ready", id="a" * 40)
    other = gate.client.post("/v1/alignments", json=order(root, rank=32))
    assert (other.status_code, code_of(other)) == (409, "alignment_exists")
    response = gate.client.post("/v1/alignments", json=order(root))
    assert (response.status_code, response.json()["state"]) == (202, "building")
    assert response.json()["id"] is None
    assert len(gate.queued()) == 1


def test_alignment_of_another_version_is_built_again(gate: Gate, root: Path) -> None:
    """After an upgrade the same registration is all it takes."""
    finished(gate, root, state="ready", id="a" * 40)
    key = layout.alignment("a" * 40, MANIFEST_FILE)
    gate.services.store.put(key, b'{"schema": "safelora-gate/alignment/1"}')
    response = gate.client.post("/v1/alignments", json=order(root))
    assert (response.status_code, response.json()["state"]) == (202, "building")


@pytest.mark.parametrize("state", ["building", "ready", "failed"])
def test_removed_name_may_be_registered_again(gate: Gate, root: Path, state: str) -> None:
    """204, then 404 for everyone, then the name is free, for another pair too."""
    finished(gate, root, state=state)
    removed = gate.client.delete("/v1/alignments/base-1b")
    assert (removed.status_code, removed.content) == (204, b"")
    for method in ("GET", "DELETE"):
        response = gate.client.request(method, "/v1/alignments/base-1b")
        assert (response.status_code, code_of(response)) == (404, "alignment_not_found")
    assert gate.client.get("/v1/alignments").json() == {"alignments": []}
    again = gate.client.post("/v1/alignments", json=order(root, rank=32))
    assert (again.status_code, again.json()["state"]) == (202, "building")


def test_removing_a_name_removes_no_alignment(any_gate: Gate) -> None:
    """Other names, and jobs that were accepted, still find every file."""
    record = any_gate.register()
    assert record.id is not None
    accepted = any_gate.post(alignment="base")
    assert any_gate.client.delete("/v1/alignments/base").status_code == 204
    assert any_gate.services.store.info(layout.alignment(record.id, MANIFEST_FILE)) is not None
    assert any_gate.request_of(accepted).alignment.id == record.id
    refused = any_gate.post(alignment="base")
    assert (refused.status_code, code_of(refused)) == (422, "alignment_unknown")


def test_warnings_are_shown_to_every_key(gate: Gate, root: Path) -> None:
    """As the worker recorded them, in the list too; there are none while it is being built."""
    gate.client.post("/v1/alignments", json=order(root))
    assert gate.client.get("/v1/alignments/base-1b").json()["warnings"] == []
    warning = PairWarning(code="pair_swapped", message="base and aligned look swapped")
    finished(gate, root, state="ready", warnings=[warning])
    [listed] = gate.client.get("/v1/alignments").json()["alignments"]
    assert listed["warnings"] == [{"code": "pair_swapped", "message": warning.message}]


def test_record_of_an_older_version_has_no_warnings(gate: Gate) -> None:
    """It was stored without the field, and is still read."""
    record = gate.register()
    stored = json.loads(record.as_bytes())
    del stored["warnings"]
    gate.services.store.put(layout.alignment_name("base"), json.dumps(stored).encode())
    assert gate.client.get("/v1/alignments/base").json()["warnings"] == []


def test_failed_alignment_may_be_registered_again(gate: Gate, root: Path) -> None:
    """With the same request, once what was wrong with the files is mended."""
    error = BuildFailure(code="alignment_unusable", message="shapes differ")
    finished(gate, root, state="failed", error=error)
    assert gate.client.get("/v1/alignments/base-1b").json()["error"]["code"] == error.code
    response = gate.client.post("/v1/alignments", json=order(root))
    assert (response.status_code, response.json()["state"]) == (202, "building")
    assert response.json()["error"] is None
    assert len(gate.queued()) == 1


def test_build_shows_how_far_it_is(gate: Gate, root: Path) -> None:
    """Hours may pass."""
    gate.client.post("/v1/alignments", json=order(root))
    progress = Progress(stage="build", done=7, total=30, started_at=now())
    gate.services.queue.set_progress(build_id("base-1b"), progress)
    seen = gate.client.get("/v1/alignments/base-1b").json()["progress"]
    assert seen == {"stage": "build", "done": 7, "total": 30}


def test_queue_that_is_down_costs_no_registration(open_gate: OpenGate, root: Path) -> None:
    """The record is kept, and the same request queues it later."""
    gate = open_gate(
        alignments=AlignmentSettings(roots=[root]),
        redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}),
    )
    assert gate.client.post("/v1/alignments", json=order(root)).status_code == 202
    assert gate.services.records.alignment("base-1b") is not None


@pytest.mark.parametrize(
    "base",
    [
        "{root}/../private/base",
        "{root}/escape/base",
        "{root}/circle",
        "{root}",
        "/etc",
        "/",
        "relative/base",
        "",
        "{root}/\0",
        "~/models",
    ],
)
def test_folders_outside_the_roots_are_refused(gate: Gate, root: Path, base: str) -> None:
    """Links and dots lead nowhere; what lies outside is not told to exist or not."""
    path = base.format(root=root)
    if path == str(root):
        path = str(root.parent)
    response = gate.client.post("/v1/alignments", json=order(root, base=path))
    assert (response.status_code, code_of(response)) == (403, "source_not_allowed")
    assert response.json()["field"] == "base"


def test_without_roots_every_folder_is_refused(open_gate: OpenGate, root: Path) -> None:
    """Until the operator allows one."""
    response = open_gate().client.post("/v1/alignments", json=order(root))
    assert (response.status_code, code_of(response)) == (403, "source_not_allowed")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_folder_that_is_none_is_said_so(gate: Gate, root: Path, name: str) -> None:
    """Inside the roots a typo is named as one."""
    response = gate.client.post("/v1/alignments", json=order(root, aligned=str(root / name)))
    assert (response.status_code, code_of(response)) == (422, "source_not_found")
    assert response.json()["field"] == "aligned"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Base"},
        {"name": "../x"},
        {"name": ""},
        {"name": "a" * 101},
        {"rank": 0},
        {"dtype": "int4"},
        {"default_policy": {"strength": 2}},
        {"unknown": 1},
        {"base": None},
        {"base_names": "acme"},
    ],
)
def test_broken_registrations_are_refused(gate: Gate, root: Path, fields: dict[str, Any]) -> None:
    """Field by field."""
    response = gate.client.post("/v1/alignments", json=order(root, **fields))
    assert (response.status_code, code_of(response)) == (422, "validation_failed")
    [field] = fields
    assert response.json()["problems"][0]["field"].startswith(f"body.{field}")


def test_default_policy_holds_its_own_floor(gate: Gate, root: Path) -> None:
    """Else a job that asks for nothing would be refused."""
    floor = {"selection": {"mode": "threshold", "threshold": 0.9}}
    response = gate.client.post("/v1/alignments", json=order(root, floor=floor))
    assert (response.status_code, code_of(response)) == (422, "default_below_floor")
    assert response.json()["fields"] == ["selection"]


@pytest.mark.parametrize("name", ["unknown", "..%2fx", "BASE", "%00"])
def test_unknown_alignment_is_a_404(gate: Gate, name: str) -> None:
    """Whatever is asked for, it never becomes a path."""
    for method in ("GET", "DELETE"):
        response = gate.client.request(method, f"/v1/alignments/{name}")
        assert (response.status_code, code_of(response)) in (
            (404, "alignment_not_found"),
            (404, "not_found"),
        )


def test_alignment_of_an_older_version_takes_no_job(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """It is still listed; the job is refused with a code, and the log says what to do."""
    record = gate.register()
    assert record.id is not None
    key = layout.alignment(record.id, MANIFEST_FILE)
    manifest = json.loads(gate.services.store.get(key))
    manifest["schema"] = "safelora-gate/alignment/1"
    del manifest["weights"]
    gate.services.store.put(key, json.dumps(manifest).encode())
    assert gate.client.get("/v1/alignments/base").json()["state"] == "ready"
    response = gate.post(alignment="base")
    assert (response.status_code, code_of(response)) == (500, "record_unreadable")
    assert f"{key} is no manifest of this version" in caplog.text
    assert "post the alignment's registration again" in caplog.text


def test_alignment_shows_none_of_its_manifest(gate: Gate) -> None:
    """Thousands of tensors stay in the store."""
    gate.register()
    [listed] = gate.client.get("/v1/alignments").json()["alignments"]
    assert gate.client.get("/v1/alignments/base").json() == listed
    assert not {"weights", "left_out", "sigma"} & listed.keys()


def test_registration_needs_json(gate: Gate) -> None:
    """Strictly: no key twice, and named as JSON, which no page elsewhere can send unasked."""
    body = b'{"name": "a", "name": "b"}'
    kinds = {
        "application/json": (400, "json_invalid"),
        "text/plain": (415, "unsupported_media_type"),
    }
    for kind, expected in kinds.items():
        headers = {"Content-Type": kind}
        response = gate.client.post("/v1/alignments", content=body, headers=headers)
        assert (response.status_code, code_of(response)) == expected


def test_a_broken_record_is_left_out_of_the_list(gate: Gate) -> None:
    """One alignment that nobody can read hides no other."""
    gate.register()
    gate.services.store.put(layout.alignment_name("zz"), b"garbage")
    names = [a["name"] for a in gate.client.get("/v1/alignments").json()["alignments"]]
    assert names == ["base"]
