"""Processes die between any two writes: every end is told all the same, and no other end is."""

from itertools import count
from pathlib import Path

import pytest
from redis import Redis

from core.jobs import FinalState, JobRequest, JobState
from core.queue import JobQueue
from core.records import Records
from core.settings import QueueSettings
from core.store.base import ObjectInfo
from core.store.local import LocalStore
from core.webhooks.endpoints import Endpoints, EndpointSettings
from tests.worker.shelf import Killed
from tests.worker.webhooks.office import TENANT, Office, Remembering, a_result, message_of
from worker.courier import reconcile
from worker.webhooks.sender import Outcome

CALLBACK = "https://platform.example/callback"
WEBHOOK = "https://platform.example/webhook"


class DyingStore(LocalStore):
    """Its process is killed before write number `last` + 1; a delete is a write too."""

    def __init__(self, root: Path, last: int) -> None:
        super().__init__(root)
        self.left = last

    def _write(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        self._write()
        return super().put(key, data, if_absent=if_absent)

    def delete(self, key: str) -> None:
        self._write()
        super().delete(key)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, QueueSettings(name="crashes"))


@pytest.fixture
def office(root: Path, redis: Redis) -> Office:
    made = Office(LocalStore(root), redis, [], sender=Remembering())
    webhook_id = "7ybq9gpzre4jtsesmhcf0nxj34"
    Endpoints(made.store, TENANT).add(webhook_id, EndpointSettings(url=WEBHOOK))
    return made


def sent_by(office: Office) -> list[tuple[str, str, bytes]]:
    assert isinstance(office.used, Remembering)
    return [(url, headers["webhook-id"], body) for url, headers, body in office.used.sent]


def check_told(office: Office, request: JobRequest) -> None:
    """Both receivers, each of the end that stands and of nothing else, each under one id."""
    standing = office.records.result(TENANT, request.id)
    assert standing is not None
    told = [(u, i, b) for u, i, b in sent_by(office) if message_of(b)["data"]["id"] == request.id]
    assert {url for url, _, _ in told} == {CALLBACK, WEBHOOK}
    assert {message_of(body)["type"] for _, _, body in told} == {f"job.{standing.state}"}
    assert len({body for _, _, body in told}) == 1
    for receiver in (CALLBACK, WEBHOOK):
        assert len({message_id for url, message_id, _ in told if url == receiver}) == 1
    assert {delivery.state for delivery in office.deliveries(request)} == {"delivered"}
    assert office.marks() == []
    assert list(office.records.pending()) == []


@pytest.mark.parametrize("state", [state for state in JobState if state.final])
@pytest.mark.parametrize("other", [JobState.FAILED, JobState.CANCELLED])
def test_whoever_dies_while_a_job_ends_no_end_goes_untold(
    office: Office, root: Path, queue: JobQueue, state: FinalState, other: FinalState
) -> None:
    """The process that ends it dies after any write; the courier reconciles; somebody else then
    ends the job otherwise, where it did not end before."""
    for writes in count():
        request = office.accept(callback_url=CALLBACK)
        queue.redis.flushdb()
        try:
            Records(DyingStore(root, writes)).finish(TENANT, request.id, a_result(state))
        except Killed:
            died = True
        else:
            died = False
        office.deliver()
        reconcile(office.records, queue)
        office.records.finish(TENANT, request.id, a_result(other))
        reconcile(office.records, queue)
        office.deliver()
        office.clock.pass_seconds(1)
        office.deliver()
        check_told(office, request)
        standing = office.records.result(TENANT, request.id)
        assert standing is not None
        assert standing.state == (other if writes == 0 else state)
        if not died:
            assert writes >= 6  # result, two records, two marks, the pending mark
            return


@pytest.mark.parametrize("answers", [[200], [500, 200]])
def test_whoever_dies_while_it_delivers_it_is_told(
    office: Office, root: Path, answers: list[int]
) -> None:
    """A courier dies after any write; another one goes on, under the same id, and leaves no mark
    behind. What was recorded as delivered is not sent again."""
    for writes in count():
        request = office.accept(callback_url=CALLBACK)
        office.records.finish(TENANT, request.id, a_result(JobState.SUCCEEDED))
        left = {CALLBACK: list(answers), WEBHOOK: list(answers)}

        def answer(left: dict[str, list[int]] = left) -> Outcome:
            assert isinstance(office.used, Remembering)
            mine = left[office.used.sent[-1][0]]
            status = mine.pop(0) if len(mine) > 1 else mine[0]
            return Outcome(0.0, status, None if status == 200 else "status")

        office.used = Remembering(answer)
        dying = office.deliverer(DyingStore(root, writes))
        died = False
        for mark in office.records.outbox.due(TENANT, office.clock.ms):
            try:
                dying.deliver(mark)
            except Killed:
                died = True
                break
        office.redis.flushdb()  # the lock of the dead lapses
        for _ in range(4):
            office.clock.pass_seconds(6)
            office.deliver()
        check_told(office, request)
        most = 2 * len(answers) + died
        assert len(sent_by(office)) <= most
        if not died:
            return
