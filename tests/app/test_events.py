"""Following a job: all that happened, in order, and how it ended, once."""

import asyncio
import time
from functools import partial
from typing import Any, cast

import pytest
from starlette.types import Message, Scope

from app import following
from core.events import KEPT, StreamEntry, stream_key
from core.jobs import JobResult, JobState, now
from core.settings import RedisSettings
from core.store import layout
from core.store.base import ObjectStore
from tests.app.conftest import OpenGate
from tests.app.following import (
    STARTED,
    finish,
    follow,
    followers,
    frames_of,
    posted,
    run,
    told,
)
from tests.app.gate import Gate, code_of, weights_of
from tests.app.test_access import access, bearer, key

QUIET = 0.5  # seconds in which a follower has heard all there is


def test_follower_sees_a_job_from_beginning_to_end(any_gate: Gate) -> None:
    """Queued, taken, each step, and the whole job as it ended: then the stream is over."""
    any_gate.register()
    job_id = posted(any_gate)
    with followers(partial(follow, any_gate, job_id)) as [following_it]:
        time.sleep(QUIET)
        run(any_gate, job_id, 0, 3, 60)
        time.sleep(QUIET)
        finish(any_gate, job_id)
        frames = frames_of(following_it.result(10))
    assert told(frames) == ["queued", "running", 3, 60, "succeeded"]
    assert [frame.event for frame in frames] == ["state", "state", "progress", "progress", "state"]
    running, progress, final = frames[1], frames[2], frames[4]
    assert (running.data["started_at"], running.data["id"]) == (STARTED, job_id)
    assert progress.data == {"stage": "score", "done": 3, "total": 60}
    assert final.data == any_gate.client.get(f"/v1/jobs/{job_id}").json()
    assert final.id == "final"


def test_whoever_comes_late_is_told_all_of_it(any_gate: Gate) -> None:
    """What is kept of an ended job, and its end."""
    any_gate.register()
    job_id = posted(any_gate)
    run(any_gate, job_id, 0, 30)
    finish(any_gate, job_id)
    assert told(frames_of(follow(any_gate, job_id))) == ["queued", "running", 30, "succeeded"]


def test_resuming_leaves_no_gap_and_repeats_nothing(gate: Gate) -> None:
    """After any event: exactly those that follow it."""
    gate.register()
    job_id = posted(gate)
    run(gate, job_id, 0, 10, 20)
    finish(gate, job_id)
    whole = frames_of(follow(gate, job_id))
    for number, frame in enumerate(whole[:-1], start=1):
        assert frames_of(follow(gate, job_id, frame.id)) == whole[number:]


def test_who_has_seen_the_end_is_sent_away(gate: Gate) -> None:
    """204 is what keeps a browser from connecting again for ever."""
    gate.register()
    job_id = posted(gate)
    finish(gate, job_id)
    response = follow(gate, job_id, "final")
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    "last_event_id",
    [
        "",
        "rubbish",
        "0-0",
        "-",
        "+",
        "$",
        "1-",
        "99999999999999999999999-0",
        "18446744073709551616-0",
        "1795426200000-0",
        "1795426200000-0 COUNT 1",
        "é" * 500,
        "(1-1",
        "0x1-0",
        "1" * 5000,
    ],
)
def test_rubbish_starts_from_the_beginning(gate: Gate, last_event_id: str) -> None:
    """An id that is none of the job's is no error, and reaches no command as one."""
    gate.register()
    job_id = posted(gate)
    run(gate, job_id, 0, 7)
    finish(gate, job_id)
    response = gate.client.get(
        f"/v1/jobs/{job_id}/events", headers={b"Last-Event-ID": last_event_id.encode("latin-1")}
    )
    assert told(frames_of(response)) == ["queued", "running", 7, "succeeded"]


def test_final_id_of_a_job_that_runs_is_no_end(gate: Gate) -> None:
    """Whatever a client claims to have seen."""
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id, "final")) as [following_it]:
        time.sleep(QUIET)
        finish(gate, job_id)
        assert told(frames_of(following_it.result(10))) == ["queued", "succeeded"]


def test_thousands_of_events_are_bounded(gate: Gate) -> None:
    """The newest are kept, after the state of the moment, and a follower is sent each of them."""
    gate.register()
    job_id = posted(gate)
    run(gate, job_id, *range(3 * KEPT))
    with followers(partial(follow, gate, job_id)) as [following_it]:
        time.sleep(QUIET)
        run(gate, job_id, 0, *range(3 * KEPT, 3 * KEPT + 500))
        finish(gate, job_id)
        frames = frames_of(following_it.result(20))
    assert told(frames[:1]) == ["running"]
    assert frames[0].id is None
    assert frames[0].data["progress"]["done"] == 3 * KEPT - 1
    steps = [frame.data["done"] for frame in frames if frame.event == "progress"]
    assert steps == list(range(2 * KEPT, 3 * KEPT + 500))
    assert told(frames[-1:]) == ["succeeded"]


def test_trimmed_id_starts_with_the_state_of_the_moment(gate: Gate) -> None:
    """A follower that was away too long is told where the job is, and then what is kept."""
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id)) as [early]:
        run(gate, job_id, 0)
        time.sleep(QUIET)
        run(gate, job_id, *range(KEPT + 1))
        finish(gate, job_id)
        first = frames_of(early.result(10))[0]
    assert first.id is not None
    frames = frames_of(follow(gate, job_id, first.id))
    assert len(frames) == KEPT  # less the word of the end, which the final event stands for
    assert told(frames[-2:]) == [KEPT, "succeeded"]


def test_two_followers_are_told_the_same(any_gate: Gate) -> None:
    """Nobody takes another's events away."""
    any_gate.register()
    job_id = posted(any_gate)
    one = partial(follow, any_gate, job_id)
    with followers(one, one) as both:
        for _ in range(5):
            run(any_gate, job_id, *range(20))
            time.sleep(0.1)
        finish(any_gate, job_id)
        first, second = (frames_of(stream.result(10)) for stream in both)
    assert first == second
    assert len(first) == 1 + 5 * 20 + 1


@pytest.mark.parametrize("knows_an_id", [True, False])
def test_wiped_redis_costs_no_end(any_gate: Gate, knows_an_id: bool) -> None:
    """Whoever comes back is told the state of the moment, what follows, and the end, once."""
    any_gate.register()
    job_id = posted(any_gate)
    run(any_gate, job_id, 0, 30)
    last = _first_id(any_gate, job_id) if knows_an_id else None
    any_gate.services.queue.redis.flushdb()
    with followers(partial(follow, any_gate, job_id, last)) as [following_it]:
        time.sleep(QUIET)
        run(any_gate, job_id, 0, 40)
        time.sleep(QUIET)
        finish(any_gate, job_id)
        frames = frames_of(following_it.result(10))
    assert told(frames) == ["queued", "running", 40, "succeeded"]
    assert frames[0].id is None


def _first_id(gate: Gate, job_id: str) -> str:
    """Of what is kept of a job that has not ended."""
    entries = cast(list[StreamEntry], gate.services.queue.redis.xrange(stream_key(job_id), count=1))
    return entries[0][0].decode()


def test_redis_wiped_while_following_costs_no_end(gate: Gate) -> None:
    """Nor that its word of the end is lost: the store is asked as well."""
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id)) as [following_it]:
        time.sleep(QUIET)
        gate.services.queue.redis.flushdb()
        request = gate.services.records.request("default", job_id)
        assert request is not None
        gate.finish(request)
        assert told(frames_of(following_it.result(10))) == ["queued", "succeeded"]


def test_without_redis_the_store_tells_the_end(open_gate: OpenGate) -> None:
    """A follower hears no progress, and loses nothing that lasts."""
    gate = open_gate(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id, "1-1")) as [following_it]:
        time.sleep(QUIET)
        result = JobResult(state=JobState.CANCELLED, finished_at=now())
        gate.services.records.finish("default", job_id, result)
        assert told(frames_of(following_it.result(10))) == ["queued", "cancelled"]
    assert told(frames_of(follow(gate, job_id))) == ["cancelled"]


def test_strange_entries_are_passed_over(gate: Gate) -> None:
    """Redis is not to be trusted with more than it has to be."""
    gate.register()
    job_id = posted(gate)
    for entry in (
        {"kind": "progress", "progress": "{"},
        {"kind": "progress"},
        {"kind": "invented", "progress": ""},
        {"\xff": "\xff"},
        {"kind": "queued", "progress": '{"stage": "x", "started_at": "y"}'},
    ):
        gate.services.queue.redis.xadd(stream_key(job_id), entry)  # type: ignore[arg-type]
    finish(gate, job_id)
    assert told(frames_of(follow(gate, job_id))) == ["queued", "succeeded"]


def test_removed_job_ends_the_stream(gate: Gate) -> None:
    """There is no end to tell of, and nothing to wait for."""
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id)) as [following_it]:
        time.sleep(QUIET)
        gate.services.records.remove("default", job_id)
        assert told(frames_of(following_it.result(10))) == ["queued"]


def test_heartbeats_keep_the_connection(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, which clients pass over and proxies count."""
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.1)
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id)) as [following_it]:
        time.sleep(2 * QUIET)
        finish(gate, job_id)
        text = following_it.result(10).text
    assert text.count(": still here\n\n") >= 2
    assert following_it.result().headers["x-accel-buffering"] == "no"


def test_many_followers_hold_nobody_up(gate: Gate) -> None:
    """A follower costs no thread: more than the pool has, and the gate still answers."""
    gate.register()
    job_id = posted(gate)
    with followers(*[partial(follow, gate, job_id)] * 60) as streams:
        time.sleep(QUIET)
        started = time.monotonic()
        assert gate.client.get("/v1/jobs").status_code == 200
        assert time.monotonic() - started < 2.0
        finish(gate, job_id)
        assert {told(frames_of(s.result(20)))[-1] for s in streams} == {"succeeded"}


def test_store_is_asked_once_a_second_at_most(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though events come in all the time."""
    gate.register()
    job_id = posted(gate)
    asked: list[str] = []
    get = type(gate.services.store).get

    def counted(self: ObjectStore, name: str, **range_: Any) -> bytes:
        asked.append(name)
        return get(self, name, **range_)

    monkeypatch.setattr(type(gate.services.store), "get", counted)
    with followers(partial(follow, gate, job_id)) as [following_it]:
        for _ in range(30):
            run(gate, job_id, 0, 1, 2)
            time.sleep(0.1)
        looks = asked.count(layout.job_result("default", job_id))
        finish(gate, job_id)
        following_it.result(10)
    assert looks <= 4


def test_follower_that_goes_away_frees_everything(gate: Gate) -> None:
    """Neither a task nor a connection to Redis stays in its hands."""
    gate.register()
    job_id = posted(gate)

    async def follow_and_leave() -> set[str]:
        before = asyncio.all_tasks()
        sent: list[Message] = []
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async def stream() -> None:
            await gate.client.app(_scope(job_id), receive, send)

        following_it = asyncio.create_task(stream())
        while len(sent) < 2:
            await asyncio.sleep(0.01)
        assert b"queued" in sent[1]["body"]
        gone.set()
        await asyncio.wait_for(following_it, 1.0)
        return {str(task) for task in asyncio.all_tasks() - before}

    portal = gate.client.portal
    assert portal is not None
    assert portal.call(follow_and_leave) == set()


def _scope(job_id: str) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": f"/v1/jobs/{job_id}/events",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
    }


def test_gate_that_closes_lets_its_followers_go(gate: Gate) -> None:
    """They come back to the next one with the id of what they saw."""
    gate.register()
    job_id = posted(gate)
    with followers(partial(follow, gate, job_id)) as [following_it]:
        time.sleep(QUIET)
        gate.services.closing.set()
        assert told(frames_of(following_it.result(3))) == ["queued"]


def test_others_jobs_cannot_be_followed(open_gate: OpenGate) -> None:
    """404, as for what is not there."""
    gate = open_gate(access=access(key("one", "one", "jobs"), key("two", "two", "jobs")))
    gate.register()
    job = gate.client.post(
        "/v1/jobs",
        files={"adapter": weights_of("x"), "config": b"{}"},
        data={"alignment": "base"},
        headers=bearer("one"),
    ).json()
    for path in (f"/v1/jobs/{job['id']}/events", f"/v1/jobs/{'0' * 26}/events"):
        response = gate.client.get(path, headers=bearer("two"))
        assert (response.status_code, code_of(response)) == (404, "job_not_found")


def test_example_is_a_stream(gate: Gate) -> None:
    """As documented, so sent: the same events, the same fields."""
    document = gate.client.get("/openapi.json").json()
    described = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]
    example = described["200"]["content"]["text/event-stream"]["example"]
    blocks = [block for block in example.split("\n\n") if block]
    assert [block.split("\n")[0] for block in blocks] == [
        "event: state",
        "event: progress",
        ": still here",
        "event: state",
    ]
    assert "204" in described
