"""Callbacks from the post of a job to its delivery, and deliveries asked for again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.description.webhook_examples import MESSAGE
from core.jobs import JobState
from core.store import layout
from core.webhooks.outbox import now_ms
from tests.app.conftest import OpenGate
from tests.app.following import cancel, end, remove, retry
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key
from tests.worker.webhooks.receiver import Receiver, receiving
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.sender import Sender


@dataclass
class Told:
    """A gate, a receiver that its operator lists, and a courier's hand."""

    gate: Gate
    receiver: Receiver
    secret: str = ""
    ms: int = field(default_factory=now_ms)

    def deliver(self, *, seconds: float = 0.0) -> None:
        """All that is due, `seconds` from now at least."""
        self.ms = max(self.ms, now_ms()) + int(seconds * 1000)
        services = self.gate.services
        settings = services.settings.webhooks
        deliverer = Deliverer(
            services.records,
            services.queue.redis,
            settings,
            Sender(settings),
            clock=lambda: self.ms,
            chance=lambda: 0.0,
        )
        outbox = services.records.outbox
        for tenant in list(outbox.tenants()):
            for mark in list(outbox.due(tenant, self.ms)):
                deliverer.deliver(mark)

    def messages(self) -> list[dict[str, Any]]:
        return [Webhook(self.secret).verify(s.body, s.headers) for s in self.receiver.got]

    def deliveries(self, job_id: str) -> list[dict[str, Any]]:
        answer = self.gate.client.get(f"/v1/jobs/{job_id}/deliveries")
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()["deliveries"]
        return found

    def post(self, **fields: Any) -> dict[str, Any]:
        answer = self.gate.post(callback_url=self.receiver.url, **fields)
        assert answer.status_code in (200, 202), answer.text
        job: dict[str, Any] = answer.json()
        return job

    def replay(self, job_id: str, delivery_id: str) -> Any:
        return self.gate.client.post(f"/v1/jobs/{job_id}/deliveries/{delivery_id}/replay")


@pytest.fixture
def told(open_gate: OpenGate) -> Iterator[Told]:
    with receiving() as receiver:
        gate = open_gate(webhooks={"allow": [receiver.origin]})
        gate.register()
        secret = gate.client.post("/v1/webhooks/secret").json()["secret"]
        yield Told(gate, receiver, secret)


def test_a_job_with_a_callback_is_told_of_when_it_ends(told: Told) -> None:
    """Not before; then with what it came to, and the delivery can be looked at."""
    job = told.post(metadata='{"run": "ft-2041"}')
    assert job["callback_url"] == told.receiver.url
    told.deliver()
    assert (told.receiver.got, told.deliveries(job["id"])) == ([], [])
    request = told.gate.request_of(told.gate.client.get(f"/v1/jobs/{job['id']}"))
    told.gate.finish(request, attestation=b"{}\n")
    told.deliver()
    (message,) = told.messages()
    assert message["type"] == "job.succeeded"
    ended = told.gate.client.get(f"/v1/jobs/{job['id']}").json()
    for name in ("id", "state", "verdict", "summary", "metadata", "links", "finished_at", "source"):
        assert message["data"][name] == ended[name], name
    assert message["data"].keys() == MESSAGE["data"].keys()
    assert message["data"]["links"].keys() == MESSAGE["data"]["links"].keys()
    assert message.keys() == MESSAGE.keys()
    (delivery,) = told.deliveries(job["id"])
    assert delivery["id"] == told.receiver.ids()[0]
    assert (delivery["state"], delivery["next_attempt_at"]) == ("delivered", None)
    assert delivery["attempts"][0].keys() == {"at", "seconds", "status", "error"}
    assert (delivery["webhook_id"], delivery["url"]) == (None, told.receiver.url)
    assert delivery["type"] == "job.succeeded"


def test_a_job_that_an_earlier_result_answers_is_told_of_too(told: Told) -> None:
    """Its caller need not look whether the answer was 200 or 202."""
    first = told.post()
    told.gate.finish(told.gate.request_of(told.gate.client.get(f"/v1/jobs/{first['id']}")))
    second = told.post()
    assert second["from_earlier_result"]
    told.deliver()
    by_id = {m["data"]["id"]: m["data"]["from_earlier_result"] for m in told.messages()}
    assert by_id == {first["id"]: False, second["id"]: True}
    assert len(set(told.receiver.ids())) == 2


def test_a_cancelled_job_is_told_of_once(told: Told) -> None:
    """However often it is cancelled."""
    job = told.post()
    cancel(told.gate, job["id"])
    cancel(told.gate, job["id"])
    told.deliver()
    told.deliver(seconds=10)
    assert [m["type"] for m in told.messages()] == ["job.cancelled"]


def test_a_retry_keeps_the_callback(told: Told) -> None:
    """And is told of under an id of its own."""
    job = told.post()
    end(told.gate, job["id"])
    again = retry(told.gate, job["id"]).json()
    assert again["callback_url"] == told.receiver.url
    end(told.gate, again["id"], JobState.SUCCEEDED)
    told.deliver()
    seen = {m["data"]["id"]: (m["type"], m["data"]["retry_of"]) for m in told.messages()}
    assert seen == {
        job["id"]: ("job.failed", None),
        again["id"]: ("job.succeeded", job["id"]),
    }
    assert len(set(told.receiver.ids())) == 2


def test_a_job_posted_anew_under_a_removed_ones_id_is_told_of_under_another(told: Told) -> None:
    """An Idempotency-Key outlives its job; who heard of the first end must hear of the second."""
    job = told.post(idempotency_key="k")
    cancel(told.gate, job["id"])
    told.deliver()
    remove(told.gate, job["id"])
    assert told.post(idempotency_key="k")["id"] == job["id"]
    cancel(told.gate, job["id"])
    told.deliver()
    assert len(set(told.receiver.ids())) == 2


def test_a_delivery_is_replayed(told: Told) -> None:
    """The same message under the same id, delivered before or not, at once."""
    job = told.post()
    cancel(told.gate, job["id"])
    told.deliver()
    (delivery,) = told.deliveries(job["id"])
    answer = told.replay(job["id"], delivery["id"])
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    twice = told.replay(job["id"], delivery["id"])
    assert (twice.status_code, code_of(twice)) == (409, "delivery_due")
    told.deliver()
    assert len({(s.headers["webhook-id"], s.body) for s in told.receiver.got}) == 1
    assert len(told.receiver.got) == 2
    (delivery,) = told.deliveries(job["id"])
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 2)
    assert list(told.gate.services.store.list("outbox/")) == []


def test_a_replay_does_not_wait_for_the_next_retry(told: Told) -> None:
    """Once the receiver is mended, nobody waits for hours; and the retries begin anew."""
    told.receiver.answer(500, 500, 500, 500, 200)
    job = told.post()
    cancel(told.gate, job["id"])
    for seconds in (0, 5, 300):
        told.deliver(seconds=seconds)
    (delivery,) = told.deliveries(job["id"])
    assert (delivery["state"], len(delivery["attempts"])) == ("pending", 3)
    assert told.replay(job["id"], delivery["id"]).status_code == 202
    assert len(list(told.gate.services.store.list("outbox/"))) == 1
    told.deliver()
    told.deliver(seconds=5)
    (delivery,) = told.deliveries(job["id"])
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 5)


@pytest.mark.parametrize(
    "delivery_id", ["x", "msg_" + "0" * 32, "..%2frequest", "msg_" + "0" * 31 + "%0a"]
)
def test_an_unknown_delivery_is_a_404(told: Told, delivery_id: str) -> None:
    """Whatever is asked for, it never becomes a path."""
    job = told.post()
    cancel(told.gate, job["id"])
    answer = told.replay(job["id"], delivery_id)
    assert (answer.status_code, code_of(answer)) in (
        (404, "delivery_not_found"),
        (404, "not_found"),
    )
    missing = told.gate.client.get(f"/v1/jobs/{'0' * 26}/deliveries")
    assert (missing.status_code, code_of(missing)) == (404, "job_not_found")


def test_others_deliveries_do_not_exist(open_gate: OpenGate) -> None:
    """404, and nothing is sent."""
    with receiving() as receiver:
        keys = (key("one", "one", "jobs", "webhooks"), key("two", "two", "jobs", "webhooks"))
        gate = open_gate(access=access(*keys), webhooks={"allow": [receiver.origin]})
        gate.register()
        gate.client.headers.update(bearer("one"))
        gate.client.post("/v1/webhooks/secret")
        told = Told(gate, receiver)
        job = told.post()
        cancel(gate, job["id"])
        told.deliver()
        (delivery,) = told.deliveries(job["id"])
        gate.client.headers.update(bearer("two"))
        for answer in (
            gate.client.get(f"/v1/jobs/{job['id']}/deliveries"),
            told.replay(job["id"], delivery["id"]),
        ):
            assert (answer.status_code, code_of(answer)) == (404, "job_not_found")
        told.deliver()
        assert len(receiver.got) == 1


def test_a_removed_jobs_deliveries_are_gone(told: Told) -> None:
    """With the rest of it."""
    job = told.post()
    cancel(told.gate, job["id"])
    told.deliver()
    remove(told.gate, job["id"])
    prefix = f"{layout.job('default', job['id'])}/"
    assert list(told.gate.services.store.list(prefix)) == []


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://platform.example/", 403, "url_not_allowed"),
        ("https://localhost/", 403, "url_not_allowed"),
        ("https://169.254.169.254/", 403, "url_not_allowed"),
        ("https://platform.example:8443/", 403, "url_not_allowed"),
        ("https://a:b@platform.example/", 422, "url_invalid"),
        ("https://platform.example/#x", 422, "url_invalid"),
        ("https://platform.example/" + "x" * 2048, 422, "url_invalid"),
        ("", 422, "url_invalid"),
    ],
)
def test_broken_callbacks_are_refused(told: Told, url: str, status: int, code: str) -> None:
    """As a form and as JSON, before anything is kept; the answer does not repeat the URL."""
    gate = told.gate
    answers = (
        gate.post(callback_url=url),
        gate.client.post("/v1/jobs", json={"source": "s3://b/a/", "callback_url": url}),
    )
    for answer in answers:
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert answer.json()["field"] == "callback_url"
        assert not url or url not in answer.text
    assert list(gate.services.records.pending()) == []
