"""Many deliveries at a time, few of one tenant: nobody is held up by slow receivers of others."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Condition, Event, Lock, Thread

import pytest
from redis import Redis

from core.errors import StoreError
from core.records import Records
from core.settings import WebhookSettings
from core.store.local import LocalStore
from core.webhooks.outbox import Mark, Outbox, now_ms
from tests.worker.webhooks.office import Office
from tests.worker.webhooks.receiver import Receiver
from worker.webhooks import rounds as module
from worker.webhooks.rounds import Rounds, delivering

PATIENCE = 30.0
JOB = "7ybq9gpzre4jtsesmhcf0nxj34"


def put_marks(store: LocalStore, tenant: str, number: int, due_ms: int = 1) -> None:
    for n in range(number):
        store.put(Mark(due_ms + n, tenant, JOB, f"msg_{tenant}_{n}").key, b"")


class Hall:
    """Where attempts wait until the test lets them go on, by tenant."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.outbox = Outbox(store)
        self.held: set[str] = set()
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done: list[Mark] = []
        self._changed = Condition()

    def deliver(self, mark: Mark) -> None:
        with self._changed:
            self.inside[mark.tenant] += 1
            self.most[mark.tenant] = max(self.most[mark.tenant], self.inside[mark.tenant])
            self.most["all"] = max(self.most["all"], sum(self.inside.values()))
            self._changed.notify_all()
            self._changed.wait_for(lambda: mark.tenant not in self.held, PATIENCE)
            self.inside[mark.tenant] -= 1
            self.done.append(mark)
            self._changed.notify_all()
        self.outbox.take_away(mark)

    def let_go(self) -> None:
        with self._changed:
            self.held.clear()
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)


@pytest.fixture
def hall(local_store: LocalStore) -> Hall:
    return Hall(local_store)


@pytest.fixture
def running(hall: Hall) -> Iterator[Callable[..., Rounds]]:
    stop = Event()
    threads = []

    def run(**settings: float) -> Rounds:
        chosen = WebhookSettings.model_validate({"every": 0.01, **settings})
        rounds = Rounds(hall.outbox, hall.deliver, chosen)
        thread = Thread(target=rounds.run, args=(stop,))
        thread.start()
        threads.append(thread)
        return rounds

    yield run
    hall.let_go()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_slow_tenant_holds_up_nobody_else(hall: Hall, running: Callable[..., Rounds]) -> None:
    """Though it was first, and has more than there is room for."""
    put_marks(hall.store, "slow", 20)
    hall.held = {"slow"}
    running(concurrency=8, tenant_concurrency=4)
    hall.until(lambda: hall.inside["slow"] == 4)
    put_marks(hall.store, "quick", 20)
    hall.until(lambda: Counter(m.tenant for m in hall.done)["quick"] == 20)
    assert (hall.most["slow"], hall.inside["slow"]) == (4, 4)
    hall.let_go()
    hall.until(lambda: len(hall.done) == 40)
    assert hall.most["all"] <= 8
    assert len(set(hall.done)) == 40


def test_no_more_are_under_way_than_may_be(hall: Hall, running: Callable[..., Rounds]) -> None:
    """Of all tenants together."""
    for tenant in "abcdef":
        put_marks(hall.store, tenant, 5)
    hall.held = set("abcdef")
    running(concurrency=6, tenant_concurrency=4)
    hall.until(lambda: sum(hall.inside.values()) == 6)
    assert set(hall.inside.values()) == {1}  # each tenant has its turn
    hall.let_go()
    hall.until(lambda: len(hall.done) == 30)
    assert hall.most["all"] == 6


def test_what_is_not_due_waits(hall: Hall) -> None:
    """Until its moment, by the clock."""
    moment = now_ms()
    put_marks(hall.store, "acme", 1, moment - 1)
    put_marks(hall.store, "later", 1, moment + 60_000)
    rounds = Rounds(hall.outbox, hall.deliver, WebhookSettings(every=0.01), lambda: moment)
    rounds.look(Event())
    assert rounds.wait(PATIENCE)
    assert [mark.tenant for mark in hall.done] == ["acme"]


def test_strange_keys_in_the_outbox_are_passed_over(hall: Hall) -> None:
    """What no version of ours put is nobody's delivery."""
    for key in ("x", "acme/1/a", "acme/2/a/b/c", "acme/-1/a/b", "acme/²/a/b", "A B/1/a/b"):
        hall.store.put(f"outbox/{key}", b"")
    put_marks(hall.store, "acme", 1)
    assert list(hall.outbox.tenants()) == ["acme"]
    assert len(list(hall.outbox.due("acme", now_ms()))) == 1


def test_a_backlog_of_one_tenant_is_not_listed_for_another(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each no more is listed than can be started before the next look."""
    put_marks(hall.store, "acme", 230)
    put_marks(hall.store, "beta", 1)
    listed: Counter[str] = Counter()
    due = hall.outbox.due

    def counting(tenant: str, moment_ms: int) -> Iterator[Mark]:
        for mark in due(tenant, moment_ms):
            listed[tenant] += 1
            yield mark

    monkeypatch.setattr(hall.outbox, "due", counting)
    rounds = Rounds(hall.outbox, hall.deliver, WebhookSettings(every=0.01))
    rounds.look(Event())
    assert rounds.wait(PATIENCE)
    assert listed == {"acme": 200, "beta": 1}
    assert "beta" in {mark.tenant for mark in hall.done}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [StoreError("away"), ZeroDivisionError("a fault of ours")])
def test_what_goes_wrong_rests_a_while_and_frees_its_place(
    hall: Hall, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither tried in a loop nor given up, and the others are delivered."""
    put_marks(hall.store, "bad", 1)
    put_marks(hall.store, "good", 3)
    tried, lock = [], Lock()

    def failing(mark: Mark) -> None:
        if mark.tenant == "bad":
            with lock:
                tried.append(mark)
            raise error
        hall.deliver(mark)

    settings = WebhookSettings(every=0.01, concurrency=1)
    rounds = Rounds(hall.outbox, failing, settings)
    for _ in range(3):
        rounds.look(Event())
        assert rounds.wait(PATIENCE)
    while len(hall.done) < 3:
        rounds.look(Event())
        assert rounds.wait(PATIENCE)
    assert len(tried) == 1
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)
    fresh = Rounds(hall.outbox, failing, settings)
    for _ in range(2):
        fresh.look(Event())
        assert fresh.wait(PATIENCE)
    assert len(tried) == 3
    for thread in threading.enumerate():  # what one raises is told as it ends: here, not later
        if "_attempt" in thread.name:
            thread.join(PATIENCE)


def test_a_store_that_is_away_is_waited_for(
    hall: Hall,
    running: Callable[..., Rounds],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says so, and the next look goes on."""
    failed = Event()

    def away(*_: object, **__: object) -> Iterator[str]:
        failed.set()
        raise StoreError("the store is away")

    put_marks(hall.store, "acme", 1)
    with caplog.at_level(logging.WARNING), monkeypatch.context() as patched:
        patched.setattr(type(hall.store), "list", away)
        running()
        assert failed.wait(PATIENCE)
    hall.until(lambda: len(hall.done) == 1)
    assert "the store is away" in caplog.text


def test_the_courier_tells_ends(office: Office, receiver: Receiver, redis: Redis) -> None:
    """With its own parts, from the mark to the receiver."""
    stop = Event()
    settings = WebhookSettings(allow=[receiver.origin], every=0.01)
    with delivering(Records(office.store), redis, settings, stop):
        request = office.end(callback_url=receiver.url)
        while not [d for d in office.deliveries(request) if d.state == "delivered"]:
            pass
        stop.set()
    assert office.verified(receiver.got[0])["data"]["id"] == request.id


def test_switched_off_nothing_is_told(office: Office, receiver: Receiver, redis: Redis) -> None:
    """And it waits until it is switched on again."""
    off = WebhookSettings(enabled=False, allow=[receiver.origin], every=0.01)
    office.end(callback_url=receiver.url)
    with delivering(office.records, redis, off, Event()):
        pass
    assert receiver.got == []
    assert office.deliver() == 1
