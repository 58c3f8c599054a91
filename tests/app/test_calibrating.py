"""Adapters scored over HTTP, and a policy written; the gate is real, the worker is played."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue
from typer.testing import CliRunner, Result

from app.cli import cli
from app.terminal.calibrating import (
    AdapterRefused,
    AdapterTwice,
    AlignmentChanged,
    Folder,
    Laboratory,
    find_folders,
    ready_alignment,
)
from core.calibration.knobs import knob_of
from core.calibration.measured import Measured
from core.findings import finding
from core.jobs import JobFailure, JobRequest, JobResult, JobState, now
from core.policy import Policy
from core.report import AlignmentFacts, FileFacts, InputFacts, Report
from safelora import Gate as Client
from safelora import GateFailed, Patience, RequestRefused, Unavailable
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, weights_of
from tests.app.test_access import KEY, OTHER_KEY, access, key
from tests.core.calibrating import rows

PROBES = knob_of("complement", "rank", Policy(), 2).probes
CONFIG = b'{"base_model_name_or_path": "acme/base-1b", "r": 8}'
Play = Callable[[Gate, JobRequest], None]


def save(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(weights_of(text))
    (folder / "adapter_config.json").write_bytes(CONFIG)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Folder]:
    """One adapter of each kind."""
    benign, hostile = save(tmp_path / "good/one", "one"), save(tmp_path / "bad/two", "two")
    return [Folder(benign, "one", "benign"), Folder(hostile, "two", "hostile")]


def report_of(request: JobRequest, **fields: Any) -> bytes:
    """A report whose one module keeps half the more, the higher the rank."""
    kept = 0.5 / (request.policy.rank or 1)
    facts = [FileFacts(name=f.name, size=f.size, sha256=f.sha256 or "") for f in request.files]
    report = Report(
        verdict="scored",
        modules=rows([(0.2, kept, 0.1)]),
        alignment=AlignmentFacts(id=request.alignment.id, name="base", rank=2, storage_loss=0.0),
        policy=request.policy,
        input=InputFacts(files=facts),
    )
    return report.model_copy(update=fields).as_bytes()


def score(gate: Gate, request: JobRequest) -> None:
    gate.finish(request, "scored", report=report_of(request))


def reject(gate: Gate, request: JobRequest) -> None:
    found = [
        finding("non_finite", "tensor", "a.lora_A.weight"),
        finding("refactored", "module", "b"),
    ]
    gate.finish(request, "rejected", report=report_of(request, verdict="rejected", findings=found))


def judge_by_another(gate: Gate, request: JobRequest) -> None:
    other = AlignmentFacts(id="f" * 40, rank=2, storage_loss=0.0)
    gate.finish(request, "scored", report=report_of(request, alignment=other))


def fail(gate: Gate, request: JobRequest) -> None:
    failure = JobFailure(code="job_timeout", message="it took too long")
    result = JobResult(state=JobState.FAILED, finished_at=now(), error=failure)
    gate.services.records.finish(request.tenant, request.id, result)


def client_of(gate: Gate, key: str | None = None) -> Client:
    return Client("http://localhost", key, http=gate.client)


def measured(
    gate: Gate, folders: list[Folder], play: Play = score, tenant: str = "default"
) -> list[Measured]:
    """What is measured while a worker ends each job that is waited for."""
    records = gate.services.records

    def work(done: int, total: int, _: str = "") -> None:
        assert done < total
        for _, job_id in list(records.pending()):
            request = records.request(tenant, job_id)
            assert request is not None
            play(gate, request)

    client = client_of(gate)
    return Laboratory(client, ready_alignment(client, "base")).measure(folders, PROBES, work)


def test_every_adapter_is_scored_by_every_probe(gate: Gate, folders: list[Folder]) -> None:
    """In the order given, under policies that publish nothing."""
    gate.register()
    found = measured(gate, folders)
    assert [(a.name, a.kind) for a in found] == [("one", "benign"), ("two", "hostile")]
    assert [[row.retained for [row] in a.rows] for a in found] == [[0.5, 0.25]] * 2
    jobs = gate.client.get("/v1/jobs").json()["jobs"]
    assert len(jobs) == 4
    assert {job["policy"]["selection"]["mode"] for job in jobs} == {"none"}


def test_a_key_for_jobs_is_enough_to_measure(open_gate: OpenGate, folders: list[Folder]) -> None:
    """A policy that only scores is held to the floor's caps, which it has; writing needs more."""
    gate = open_gate(access=access(key(KEY, "alice", "jobs"), key(OTHER_KEY, "bob", "alignments")))
    strict = Policy.model_validate({"selection": {"mode": "all"}, "caps": {"rank": 8}})
    gate.register(default_policy=strict)
    client = client_of(gate, KEY)
    with pytest.raises(RequestRefused) as caught:
        client.set_policies("base", default_policy=Policy().as_json())
    assert caught.value.code == "scope_missing"
    knob = knob_of("safe_lora", None, strict, 2)
    laboratory = Laboratory(client, ready_alignment(client, "base"))
    posted = laboratory._post(folders[0], knob.probes[0])
    assert posted.state == JobState.QUEUED


def test_a_rejected_adapter_is_named_with_its_findings(gate: Gate, folders: list[Folder]) -> None:
    """Those that stop it, all of them."""
    gate.register()
    with pytest.raises(AdapterRefused, match="good/one") as caught:
        measured(gate, folders, reject)
    assert [f.code for f in caught.value.findings] == ["non_finite"]


def test_weights_with_a_wrong_header_are_named_too(gate: Gate, folders: list[Folder]) -> None:
    """The gate makes no job of them."""
    gate.register()
    (folders[1].path / "adapter_model.safetensors").write_bytes(b"GGUF")
    with pytest.raises(AdapterRefused, match="bad/two") as caught:
        measured(gate, folders)
    assert [found.code for found in caught.value.findings] == ["gguf_file"]


def test_a_job_that_fails_stops_everything(gate: Gate, folders: list[Folder]) -> None:
    """With its own code and words."""
    gate.register()
    with pytest.raises(GateFailed, match="job_timeout: it took too long") as caught:
        measured(gate, folders, fail)
    assert caught.value.code == "adapter_not_scored"


def test_all_are_judged_by_one_alignment(gate: Gate, folders: list[Folder]) -> None:
    """A name that is registered anew meanwhile would mix two."""
    gate.register()
    with pytest.raises(AlignmentChanged, match="run the command again"):
        measured(gate, folders, judge_by_another)


def test_the_same_files_count_once(gate: Gate, tmp_path: Path) -> None:
    """Under two names, or as both kinds: either would falsify what is counted."""
    gate.register()
    twins = [
        Folder(save(tmp_path / "a", "same"), "a", "benign"),
        Folder(save(tmp_path / "b", "same"), "b", "hostile"),
    ]
    with pytest.raises(AdapterTwice, match="benign a and hostile b are the same files"):
        measured(gate, twins)


@pytest.mark.parametrize(
    ("fields", "name", "code"),
    [
        ({"state": "building", "id": None}, "base", "alignment_not_ready"),
        ({"state": "failed", "id": None}, "base", "alignment_not_ready"),
        ({}, "nobody", "alignment_not_found"),
    ],
)
def test_alignments_that_cannot_judge_are_said_so(
    gate: Gate, fields: dict[str, Any], name: str, code: str
) -> None:
    """Before anything is posted."""
    gate.register(**fields)
    with pytest.raises(RequestRefused) as caught:
        ready_alignment(client_of(gate), name)
    assert caught.value.code == code


def test_the_proposal_becomes_the_default_policy(gate: Gate) -> None:
    """And the floor, where there was none of its own; below one it is refused."""
    gate.register()
    policy = Policy.model_validate({"selection": {"threshold": 0.2}})
    client_of(gate).set_policies("base", default_policy=policy.as_json())
    record = gate.services.records.alignment("base")
    assert record is not None
    assert record.default_policy == record.effective_floor == policy
    gate.register(floor=Policy())
    with pytest.raises(RequestRefused) as caught:
        client_of(gate).set_policies("base", default_policy=policy.as_json())
    assert caught.value.code == "default_below_floor"


# A gate that is away


def answers(*statuses: int) -> tuple[httpx2.Client, list[str]]:
    """A client of a gate that answers so, the last one for ever, and the keys that were sent."""
    left, keys = list(statuses), []
    job: dict[str, JsonValue] = {"id": "j", "state": "queued", "error": None}

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers.get("Idempotency-Key", ""))
        status = left.pop(0) if len(left) > 1 else left[0]
        if status == 0:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(status, json=job)

    return httpx2.Client(transport=httpx2.MockTransport(answer)), keys


def laboratory(client: httpx2.Client, patience: float = 60.0) -> Laboratory:
    alignment = {"name": "base", "state": "ready", "id": "a" * 40, "rank": 2, "default_policy": {}}
    answer = httpx2.Response(200, json=alignment)
    transport = httpx2.MockTransport(lambda _: answer)
    with httpx2.Client(transport=transport) as other:
        found = ready_alignment(Client("http://gate", http=other), "base")
    quick = Patience(patience, first_pause=0.01, longest_pause=0.01)
    return Laboratory(Client("http://gate", http=client, patience=quick), found)


def test_a_post_whose_answer_is_lost_makes_no_second_job(folders: list[Folder]) -> None:
    """It is sent again under its own key, the whole of it."""
    client, keys = answers(0, 503, 429, 202)
    with client:
        laboratory(client)._post(folders[0], PROBES[0])
        laboratory(client)._post(folders[0], PROBES[0])
    assert len(keys) == 5
    assert keys[0]
    assert set(keys[:4]) == {keys[0]} != {keys[4]}


def test_a_gate_that_stays_away_is_given_up(folders: list[Folder]) -> None:
    """With words on how to go on."""
    client, _ = answers(0)
    with client, pytest.raises(Unavailable, match="same command again"):
        laboratory(client, patience=0.05)._post(folders[0], PROBES[0])


# The command line


def test_folders_are_adapters_or_hold_them(tmp_path: Path) -> None:
    """By name; what is neither is said so."""
    for name in ("b", "a"):
        save(tmp_path / "many" / name, "x")
    (tmp_path / "many" / "notes").mkdir()
    alone = save(tmp_path / "alone", "x")
    found = list(find_folders([tmp_path / "many", alone], "benign"))
    assert [folder.name for folder in found] == ["a", "b", "alone"]
    with pytest.raises(ValueError, match="notes holds no"):
        list(find_folders([tmp_path / "many" / "notes"], "benign"))


def command(folders: list[Folder], *arguments: str) -> Result:
    benign, hostile = folders
    kinds = ["--benign", str(benign.path), "--hostile", str(hostile.path)]
    return CliRunner().invoke(cli, ["calibrate", *kinds, *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Not-A-Name"], "small letters"),
        (["../base"], "small letters"),
        (["base", "--keep", "0"], "--keep"),
        (["base", "--keep", "1.1"], "--keep"),
        (["base", "--force"], "--write"),
        (["base", "--method", "zero"], "not calibrated"),
        (["base", "--by", "rank"], "not calibrated"),
        (["base", "--url", "gate:8000"], "url"),
        (["base", "--benign", "/nowhere"], "holds no"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_sent(
    folders: list[Folder], arguments: list[str], words: str
) -> None:
    """Exit 2, with what is wrong."""
    done = command(folders, *arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_no_gate_there_is_said_so(folders: list[Folder], tmp_path: Path) -> None:
    """Exit 1, and nothing is written."""
    output = tmp_path / "out"
    done = command(folders, "base", "--url", "http://127.0.0.1:1", "--output", str(output))
    assert done.exit_code == 1
    assert "gate_unreachable" in done.output
    assert not output.exists()


def test_probes_are_sent_as_json() -> None:
    """Whatever the policy: the gate reads it as the one that was meant."""
    for probe in PROBES:
        assert Policy.model_validate(json.loads(json.dumps(probe.as_json()))) == probe
