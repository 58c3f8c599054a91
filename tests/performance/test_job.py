"""What one job asks of the store and of Redis, once everything is warm.

Each call of a store on S3 is a round trip, and so is each write to Redis: they are most of what a
tiny job takes. The bounds are what there is now. Whoever adds a call raises one, with a reason to;
whoever saves one lowers it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from redis import Redis

from core.alignments import AlignmentRecord
from core.jobs import JobState
from core.queue import JobQueue
from core.store.local import LocalStore
from core.store.settings import StoreSettings
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, weights_of
from tests.performance.counting import StoreCalls, assert_within, round_trips
from tests.worker.making import generator, lora, save_adapter, save_checkpoint
from tests.worker.service import Service, make_service

POST_STORE = {"put": 2, "writer": 2, "commit_all": 2, "get": 5, "list": 1}
"""The mark and the request, both files, and the tenant's list of jobs; what is read is the
alignment, and whether there is a result already or a hook to tell."""

POST_REDIS = {"LLEN": 1, "SMEMBERS": 1, "SADD…": 1}
"""Whether the queue is full, with what waits for its tenant; the job and its first event."""

GET_STORE = {"get": 2}
"""The request, and the result that is not there yet."""

GET_REDIS = {"GET": 1}
"""How far it is."""

JOB_STORE = {"get": 5, "get_file": 2, "put_all": 4, "put": 2, "list": 1, "delete": 1, "info": 1}
"""In: the request, the word on its end and on an earlier result, both files. Out: four files, their
commit, the result. `delete` takes the mark away."""

JOB_REDIS = {
    "SET…": 1, "DEL…": 1,  # that it runs, and that it has ended
    "HSET…": 6, "HSET": 3, "LMOVE": 1, "HGETALL": 1, "SMEMBERS": 1,  # RQ's own, from here on
    "WATCH": 1, "HINCRBY…": 1,
}  # fmt: skip

SHAPES = {f"model.layers.{n}.self_attn.q_proj": (12, 10) for n in range(3)}
JOBS = 3


@pytest.fixture
def calls(tmp_path: Path) -> StoreCalls:
    return StoreCalls(LocalStore(tmp_path / "store"))


@pytest.fixture
def gate(open_gate: OpenGate, calls: StoreCalls, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """One that has answered each kind of request once."""
    monkeypatch.setattr("app.services.open_store", lambda _: calls.as_store)
    gate = open_gate()
    gate.register()
    gate.client.get(f"/v1/jobs/{gate.post().json()['id']}")
    return gate


def test_accepting_a_job_asks_for_no_more(gate: Gate, calls: StoreCalls) -> None:
    """From the request to the answer."""
    calls.counts.clear()
    with round_trips() as trips:
        assert gate.post(weights=weights_of("another")).status_code == 202
    assert_within(calls.counts, POST_STORE)
    assert_within(trips, POST_REDIS)


def test_looking_at_a_job_asks_for_no_more(gate: Gate, calls: StoreCalls) -> None:
    """What a caller that polls costs, each time."""
    path = f"/v1/jobs/{gate.post(weights=weights_of('another')).json()['id']}"
    calls.counts.clear()
    with round_trips() as trips:
        assert gate.client.get(path).json()["state"] == "queued"
    assert_within(calls.counts, GET_STORE)
    assert_within(trips, GET_REDIS)


@pytest.fixture
def service(
    calls: StoreCalls, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Service:
    """One without what comes by the clock: progress every quarter second, and heartbeats."""
    monkeypatch.setattr("worker.following.TELL_EVERY", math.inf)
    made = make_service(calls.as_store, StoreSettings(path=tmp_path / "store"), redis, tmp_path)
    patient = made.queue.settings.model_copy(update={"lease": 600})
    return replace(made, queue=JobQueue(redis, patient))


def worked(
    service: Service, calls: StoreCalls, record: AlignmentRecord, folder: Path, seeds: Sequence[int]
) -> tuple[Counter[str], Counter[str]]:
    """Store calls and round trips of a worker that starts, does these jobs and ends."""
    requests = []
    for seed in seeds:
        adapter = save_adapter(folder / f"adapter-{seed}", lora(SHAPES, seed=seed))
        requests.append(service.accept(record, {p.name: p.read_bytes() for p in adapter.iterdir()}))
    calls.counts.clear()
    with round_trips() as trips:
        service.work()
    for request in requests:
        result = service.result(request)
        assert result is not None
        assert result.state is JobState.SUCCEEDED
    return Counter(calls.counts), trips


def test_working_on_a_job_asks_for_no_more(
    service: Service, calls: StoreCalls, tmp_path: Path
) -> None:
    """Of a worker that has its alignment warm: what some more jobs make it ask for more."""
    random = generator(0)
    base = {
        f"{name}.weight": torch.randn(shape, generator=random) for name, shape in SHAPES.items()
    }
    aligned = {n: w + 0.1 * torch.randn(w.shape, generator=random) for n, w in base.items()}
    save_checkpoint(tmp_path / "base", base)
    save_checkpoint(tmp_path / "aligned", aligned)
    record = service.register(base=str(tmp_path / "base"), aligned=str(tmp_path / "aligned"))
    worked(service, calls, record, tmp_path, [0])  # for warmth
    one = worked(service, calls, record, tmp_path, [1])
    more = worked(service, calls, record, tmp_path, range(2, 3 + JOBS))
    stored, sent = (after - before for before, after in zip(one, more, strict=True))
    assert_within(stored, {name: JOBS * count for name, count in JOB_STORE.items()})
    assert_within(sent, {name: JOBS * count for name, count in JOB_REDIS.items()})
