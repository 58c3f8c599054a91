"""Callers ask until they are answered, remember every word, and say where one was not kept."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from chaos.adapters import make
from chaos.ledger import Ledger
from chaos.load import Posters, Watcher
from chaos.reference import Expected
from core.jobs import JobState
from core.store.layout import ADAPTER_MODEL
from tests.chaos.fake_api import Answer, document, fake_api
from tests.chaos.made_up import commit_of, content
from tests.chaos.waiting import soon


class References:
    """Every input comes to its made-up commit."""

    def of(self, number: int) -> Expected:
        return Expected(JobState.SUCCEEDED, commit_of(number))


@contextmanager
def posters(ledger: Ledger, *urls: str) -> Iterator[Posters]:
    posting = Posters(ledger, urls, "tiny", Random(1))
    posting.start()
    try:
        yield posting
    finally:
        posting.finish(10.0)


@pytest.fixture
def ledger() -> Ledger:
    """One job of input 1 was accepted."""
    kept = Ledger()
    kept.begin("k1", 1)
    kept.accepted("k1", document(), asked_at=0.0)
    return kept


def watcher(ledger: Ledger, *urls: str) -> Watcher:
    return Watcher(ledger, urls, References(), Random(1))


def said(ledger: Ledger) -> list[str]:
    return [str(complaint) for complaint in ledger.complaints]


def closed_port() -> str:
    """The URL of an API that is down."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_post_is_repeated_under_its_key_until_an_api_answers() -> None:
    """Whether one is down or the other cannot do it now."""
    answers = iter([(503, {}), (500, {}), (202, document("j2"))])
    ledger = Ledger()
    with fake_api(lambda *_: next(answers)) as api, posters(ledger, closed_port(), api.url) as one:
        assert one.post("k2", 0) == "j2"
    assert api.asked == [("POST", "/v1/jobs", "k2")] * 3
    (order,) = ledger.orders
    assert (order.job_ids, order.number) == (["j2"], 0)
    assert ledger.unfinished() == ["j2"]
    assert said(ledger) == []


def test_refusal_is_a_complaint_and_is_not_repeated() -> None:
    """A 4xx will not get better."""
    ledger = Ledger()
    with fake_api(lambda *_: (422, {"code": "x"})) as api, posters(ledger, api.url) as one:
        assert one.post("k2", 0) is None
    assert len(api.asked) == 1
    assert said(ledger) == ['wrong: key k2: refused with 422 {"code": "x"}']


def test_what_is_never_answered_is_given_up_at_the_end() -> None:
    """The order stands in the ledger without a job, for the auditor to see."""
    ledger = Ledger()
    posting = Posters(ledger, [closed_port()], "tiny", Random(1))
    posting.start()
    posting.allow(1)
    assert soon(lambda: bool(ledger.orders))
    posting.finish(0.5)
    assert [order.job_ids for order in ledger.orders] == [[]]


def test_posters_post_what_is_allowed_each_key_with_one_input() -> None:
    """Old keys and old inputs too now and then, and some requests twice at once."""
    jobs: dict[str, str] = {}

    def answer(_method: str, _path: str, key: str | None) -> Answer:
        assert key is not None
        return 200, document(jobs.setdefault(key, f"j{len(jobs)}"), "succeeded")

    ledger = Ledger()
    with fake_api(answer) as api, posters(ledger, api.url) as some:
        some.allow(100)
        assert soon(lambda: len(api.asked) >= 100)
    assert len(ledger.orders) < len(api.asked)  # some keys came again
    assert len({order.number for order in ledger.orders}) < len(ledger.orders)
    assert all(len(order.job_ids) == 1 for order in ledger.orders)
    assert said(ledger) == []


def test_same_number_is_the_same_request() -> None:
    """Whenever it is made: an idempotency key stands for its bytes."""
    assert [make(n) for n in range(24)] == [make(n) for n in range(24)]
    assert len({make(n).files[ADAPTER_MODEL] for n in range(24)}) == 24


def test_final_word_that_changes_is_a_complaint(ledger: Ledger) -> None:
    """The first one is kept; saying it again is none."""
    first = document(state="succeeded", verdict="projected")
    for seen in (document(state="running"), document(), first, first):
        ledger.saw(seen, asked_at=time.monotonic())
    assert said(ledger) == []
    ledger.saw(document(state="rejected", verdict="rejected"), asked_at=time.monotonic())
    assert ledger.jobs["j1"].final == first
    assert said(ledger) == [
        "wrong: job j1: its final word changed: state 'succeeded' → 'rejected'; verdict 'projected'"
        " → 'rejected'"
    ]


def test_answer_that_was_overtaken_takes_nothing_back(ledger: Ledger) -> None:
    """Two callers ask at once and one is answered late: only who asks later must see the end."""
    early = time.monotonic()
    ledger.saw(document(state="succeeded"), asked_at=time.monotonic())
    ledger.saw(document(state="running"), asked_at=early)
    assert said(ledger) == []
    ledger.saw(document(state="running"), asked_at=time.monotonic())
    (complaint,) = said(ledger)
    assert "state 'succeeded' → 'running'" in complaint


def test_accepted_job_that_is_not_there_is_a_complaint(ledger: Ledger) -> None:
    """A 404 to one who has a 202; an API that is down is none."""
    with fake_api(lambda *_: (404, {})) as api:
        watching = watcher(ledger)
        watching.look("j1", closed_port())
        assert said(ledger) == []
        watching.look("j1", api.url)
    assert said(ledger) == ["wrong: job j1: accepted, and then answered 404 {}"]


@pytest.mark.parametrize(
    ("state", "served", "complaints"),
    [
        ("succeeded", content(1, ADAPTER_MODEL), []),
        ("succeeded", b"other", [f"wrong: job j1: served another {ADAPTER_MODEL} than expected"]),
        (
            "running",
            content(1, ADAPTER_MODEL),
            [f"wrong: job j1: served {ADAPTER_MODEL} before it had ended"],
        ),
    ],
)
def test_adapter_is_served_at_the_end_only_and_as_expected(
    ledger: Ledger, state: str, served: bytes, complaints: list[str]
) -> None:
    """A part of a result, or another one, is a complaint."""

    def answer(_method: str, path: str, _key: str | None) -> Answer:
        return (200, served) if "/adapter/" in path else (200, document(state=state))

    with fake_api(answer) as api:
        watcher(ledger).download("j1", api.url, ADAPTER_MODEL)
    assert said(ledger) == complaints


def test_adapter_that_is_not_served_after_the_end_is_a_complaint(ledger: Ledger) -> None:
    """Before the end 409 is the right answer."""
    with fake_api(lambda *_: (409, {})) as api:
        watching = watcher(ledger)
        watching.download("j1", api.url, ADAPTER_MODEL)
        assert said(ledger) == []
        ledger.saw(document(state="succeeded"), asked_at=time.monotonic())
        watching.download("j1", api.url, ADAPTER_MODEL)
    assert said(ledger) == [f"wrong: job j1: has ended, and {ADAPTER_MODEL} is 409 {{}}"]


def test_quiet_is_when_every_job_has_ended(ledger: Ledger) -> None:
    """One that does not end is waited for as long as asked."""
    states = iter(["queued", "running", "succeeded"])
    with fake_api(lambda *_: (200, document(state=next(states)))) as api:
        assert watcher(ledger, api.url).wait_until_quiet(10.0)
    ledger.begin("k2", 2)
    ledger.accepted("k2", document("j2"), asked_at=0.0)
    with fake_api(lambda *_: (200, document("j2"))) as api:
        assert not watcher(ledger, api.url).wait_until_quiet(0.5)
