"""Both clients against a real gate; the worker is played."""

import inspect
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from core.jobs import JobState
from core.settings import AlignmentSettings
from safelora import AlignmentFailed, AsyncGate, Gate, RequestRefused, TooLate, UsageError
from tests.app.conftest import OpenGate
from tests.app.following import end, run, succeed
from tests.app.gate import CONFIG, WEIGHTS
from tests.app.gate import Gate as RealGate
from tests.app.test_access import KEY, OTHER_KEY, access, key
from tests.safelora.conftest import Connect
from tests.safelora.serving import served

MODEL, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter as PEFT saves it, and what else lies beside it."""
    place = tmp_path / "adapter"
    place.mkdir()
    (place / MODEL).write_bytes(WEIGHTS)
    (place / SETTINGS).write_bytes(CONFIG)
    (place / "optimizer.pt").write_bytes(b"not for the gate")
    return place


def packed(folder: Path) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in (MODEL, SETTINGS):
            archive.add(folder / name, name)
    return buffer.getvalue()


def archive_in(folder: Path) -> Path:
    path = folder.parent / "adapter.tar"
    path.write_bytes(packed(folder))
    return path


SOURCES: dict[str, Callable[[Path], Any]] = {
    "folder": lambda folder: folder,
    "text": str,
    "files": lambda folder: [folder / SETTINGS, folder / MODEL],
    "archive": archive_in,
    "one": lambda folder: [archive_in(folder)],
    "bytes": packed,
    "parts": lambda folder: {"adapter": folder / MODEL, "config": CONFIG},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_adapter_arrives_as_it_was(gate: RealGate, client: Gate, folder: Path, kind: str) -> None:
    """However it is given: the two files, byte for byte, and nothing that lay beside them."""
    gate.register()
    job = client.submit(SOURCES[kind](folder), alignment="base", metadata={"run": "7"})
    assert (job.state, job.metadata, job.ended, job.published) == (
        "queued",
        {"run": "7"},
        False,
        False,
    )
    request = gate.services.records.request("default", job.id)
    assert request is not None
    kept = {file.name: gate.services.store.get(file.key or "") for file in request.files}
    assert kept == {MODEL: WEIGHTS, SETTINGS: CONFIG}
    assert request.other_names == []


def test_what_is_asked_reaches_the_record(gate: RealGate, client: Gate, folder: Path) -> None:
    """The policy as it was meant; without an alignment, the one of the adapter's base model."""
    gate.register()
    job = client.submit(folder, policy={"selection": {"mode": "all"}})
    assert job.alignment is not None
    assert (job.alignment.name, job.policy["selection"]) == ("base", {"mode": "all"})


def test_source_in_s3_is_posted_as_json(gate: RealGate, client: Gate) -> None:
    """The gate says whether it is allowed there."""
    gate.register()
    with pytest.raises(RequestRefused) as caught:
        client.submit("s3://bucket/adapter/", alignment="base", metadata={"a": "b"})
    assert caught.value.code == "source_not_allowed"


def test_what_was_sent_ahead_is_named(gate: RealGate, client: Gate) -> None:
    """By its `source`, which is no path of this machine."""
    gate.register()
    files = [{"name": "adapter_config.json", "size": 2}]
    upload = gate.client.post("/v1/uploads", json={"files": files}).json()
    with pytest.raises(RequestRefused) as caught:
        client.submit(upload["source"], alignment="base")
    assert caught.value.code == "upload_incomplete"


def test_earlier_input_is_judged_anew(gate: RealGate, client: Gate, folder: Path) -> None:
    """By another policy, without being sent again."""
    gate.register()
    first = client.submit(folder)
    again = client.submit(f"job:{first.id}", policy={"selection": {"mode": "all"}})
    assert again.source == f"job:{first.id}"
    assert [file.sha256 for file in again.input] == [file.sha256 for file in first.input]


def test_who_is_told_is_seen(open_gate: OpenGate, connect: Connect) -> None:
    """The callback of a job, once that has ended."""
    gate = open_gate()
    gate.register()
    gate.client.post("/v1/webhooks/secret")
    told = "https://told.example/x"
    job_id = gate.post(alignment="base", callback_url=told).json()["id"]
    with served(gate.client.app) as url:
        client = connect(url)
        assert client.deliveries(job_id) == []
        end(gate, job_id)
        [delivery] = client.deliveries(job_id)
    assert (delivery.url, delivery.state, delivery.type) == (told, "pending", "job.failed")
    assert (delivery.webhook_id, delivery.attempts) == (None, [])


def test_own_idempotency_key_makes_one_job(gate: RealGate, client: Gate, folder: Path) -> None:
    """Of two calls; without one each call is a job."""
    gate.register()
    same = [client.submit(folder, idempotency_key="once").id for _ in range(2)]
    assert same[0] == same[1]
    assert client.submit(folder).id not in same


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nowhere", "no file and no folder"),
        (lambda folder: folder.parent, f"no {MODEL} and no {SETTINGS}"),
        (lambda folder: folder / MODEL, "give both"),
        (lambda folder: [folder / MODEL, folder / "optimizer.pt"], "one .safetensors"),
        (lambda folder: [folder / MODEL, folder / SETTINGS, folder / SETTINGS], "one .safetensors"),
        (lambda _: [], "one .safetensors"),
        (lambda folder: {"weights": folder / MODEL}, "no part 'weights'"),
    ],
)
def test_what_is_no_adapter_is_not_sent(
    gate: RealGate, client: Gate, folder: Path, make: Callable[[Path], Any], words: str
) -> None:
    """The words say what is missing."""
    with pytest.raises(UsageError, match=words) as caught:
        client.submit(make(folder))
    assert caught.value.code == "arguments"
    assert list(gate.services.records.pending()) == []


def test_wait_ends_with_the_job(gate: RealGate, client: Gate, folder: Path) -> None:
    """Each look is told; a job that only fails is no error of the wait."""
    gate.register()
    job = client.submit(folder)
    seen: list[str] = []

    def look(found: Any) -> None:
        seen.append(found.state)
        if len(seen) == 1:
            run(gate, job.id, 0, 7)
        elif len(seen) == 2:
            assert found.progress.done == 7
            end(gate, job.id)

    ended = client.wait(job, poll=0.01, seen=look)
    assert seen == ["queued", "running", "failed"]
    assert ended.ended
    assert not ended.published
    assert ended.error is not None
    assert ended.error.code == "engine_error"


def test_wait_is_over_when_its_time_is_up(gate: RealGate, client: Gate, folder: Path) -> None:
    """With a timeout of 0 after one look."""
    gate.register()
    job = client.submit(folder)
    with pytest.raises(TooLate, match=f"{job.id} is queued after 0 seconds"):
        client.wait(job.id, timeout=0)


def test_jobs_are_listed_by_what_is_asked(gate: RealGate, client: Gate, folder: Path) -> None:
    """Newest first; by state and by the alignment's name."""
    gate.register()
    gate.register("other", base_names=[])
    ids = [client.submit(folder, alignment=name).id for name in ("base", "other", "base")]
    end(gate, ids[0])
    assert [job.id for job in client.jobs()] == ids[::-1]
    assert [job.id for job in client.jobs(alignment="other")] == [ids[1]]
    assert [job.id for job in client.jobs(state="failed")] == [ids[0]]


def test_jobs_are_steered(gate: RealGate, client: Gate, folder: Path) -> None:
    """Cancelled, tried again, taken away; then it is not found."""
    gate.register()
    job = client.cancel(client.submit(folder))
    assert job.state == "cancelled"
    again = client.retry(job)
    assert (again.state, again.retry_of) == ("queued", job.id)
    assert client.retry(job, idempotency_key="k").id == client.retry(job, idempotency_key="k").id
    client.delete(job)
    with pytest.raises(RequestRefused) as caught:
        client.job(job.id)
    assert (caught.value.code, caught.value.status) == ("job_not_found", 404)
    with pytest.raises(RequestRefused, match="cancel it first"):
        client.delete(again)
    with pytest.raises(RequestRefused):
        client.delete(job)  # at the first try, it was not us


def test_report_is_read(gate: RealGate, client: Gate, folder: Path) -> None:
    """Typed, and as the files that it is."""
    gate.register()
    job = client.submit(folder)
    succeed(gate, job.id)
    assert client.report(job).verdict == "projected"
    assert json.loads(client.report_bytes(job)) == {"verdict": "projected"}
    assert client.report_bytes(job, "html").startswith(b"<!doctype html>")


@pytest.mark.parametrize("job", ["", ".", ".."])
def test_what_is_no_id_asks_for_nothing_else(client: Gate, job: str) -> None:
    """An empty id would list jobs, or delete who knows what."""
    for ask in (client.job, client.delete, client.cancel, client.report):
        with pytest.raises(UsageError, match="no id"):
            ask(job)
    with pytest.raises(RequestRefused) as caught:
        client.job("../alignments")
    assert caught.value.code in ("job_not_found", "not_found")


def test_refusals_hold_what_the_gate_says(gate: RealGate, client: Gate, folder: Path) -> None:
    """Code, status, words, and the further members of the problem."""
    gate.register()
    with pytest.raises(RequestRefused) as caught:
        client.submit(folder, alignment="nobody")
    error = caught.value
    assert (error.code, error.status) == ("alignment_unknown", 422)
    assert str(error) == error.detail == error.problem["detail"]
    assert error.problem["registered"] == ["base"]


def test_version_tells_that_a_gate_is_there(client: Gate) -> None:
    assert client.version()


def test_alignments_are_registered_and_judged(
    open_gate: OpenGate, connect: Connect, tmp_path: Path
) -> None:
    """Registered, seen, given policies, waited for, and taken away."""
    gate = open_gate(alignments=AlignmentSettings(roots=[tmp_path], cache=tmp_path / "cache"))
    for side in ("base", "aligned"):
        (tmp_path / side).mkdir()
    with served(gate.client.app) as url:
        client = connect(url)
        pair = [str(tmp_path / side) for side in ("base", "aligned")]
        registered = client.register("pair", *pair, base_names=["acme/x"], rank=8)
        assert (registered.state, registered.ready, registered.rank) == ("building", False, 8)
        gate.register("ready")
        assert {found.name for found in client.alignments()} == {"pair", "ready"}
        assert client.wait_for_alignment("ready").ready
        policy = {"selection": {"mode": "all"}}
        judged = client.set_policies("ready", default_policy=policy, floor=None)
        assert judged.default_policy["selection"] == policy["selection"]
        with pytest.raises(TooLate, match="pair is building"):
            client.wait_for_alignment(registered, timeout=0)

        def build(_: Any) -> None:
            record = gate.services.records.alignment("pair")
            assert record is not None
            gate.services.records.finish_build(record.as_failed("pair_identical", "same", "now"))

        with pytest.raises(AlignmentFailed, match="same") as caught:
            client.wait_for_alignment(registered, poll=0.01, seen=build)
        assert caught.value.code == "pair_identical"
        client.delete_alignment("pair")
        with pytest.raises(RequestRefused) as refused:
            client.alignment("pair")
        assert refused.value.code == "alignment_not_found"


def test_key_opens_what_it_may(open_gate: OpenGate, connect: Connect, folder: Path) -> None:
    """Sent with each request, whatever else is sent."""
    gate = open_gate(access=access(key(KEY, "alice", "jobs"), key(OTHER_KEY, "bob", "alignments")))
    gate.register()
    with served(gate.client.app) as url:
        job = connect(url, KEY).submit(folder)
        assert gate.services.records.request("alice", job.id) is not None
        assert connect(url, KEY).cancel(job).state == JobState.CANCELLED
        for other, code in ((None, "unauthorized"), (OTHER_KEY, "scope_missing")):
            with pytest.raises(RequestRefused) as caught:
                connect(url, other).submit(folder)
            assert caught.value.code == code


def test_both_clients_are_alike() -> None:
    """The same methods with the same parameters; each says what it does."""
    sync, awaited = (
        {name: member for name, member in vars(kind).items() if not name.startswith("_")}
        for kind in (Gate, AsyncGate)
    )
    assert sync.keys() == awaited.keys()
    for name in sync.keys() - {"url"}:
        here, there = (inspect.signature(kind[name]).parameters for kind in (sync, awaited))
        assert here == there, name
        each = name in ("events", "jobs")
        assert inspect.iscoroutinefunction(awaited[name]) is not each
        assert awaited[name].__doc__ == f"As `Gate.{name}`."
