"""Ends of jobs are told to real receivers: signed, again after a failure, in the same bytes."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any, cast

import pytest
from redis import Redis
from standardwebhooks import Webhook

from core.errors import StoreError
from core.jobs import FinalState, JobState
from core.records import Records
from core.settings import RetentionSettings
from core.store import layout
from core.store.local import LocalStore
from core.webhooks.endpoints import Endpoints, EndpointSettings
from core.webhooks.outbox import Delivery
from core.webhooks.schedule import PAUSES
from core.webhooks.signing import Secrets
from tests.worker.webhooks.office import TENANT, Office, message_of
from tests.worker.webhooks.receiver import Receiver, receiving
from worker.expiry import expire

WEBHOOK = "7ybq9gpzre4jtsesmhcf0nxj34"
OTHER = "7ybq9gpzre4jtsesmhcf0nxj35"
STATES = cast(list[FinalState], [state for state in JobState if state.final])


def register(office: Office, url: str, webhook_id: str = WEBHOOK, **fields: Any) -> Endpoints:
    endpoints = Endpoints(office.store, TENANT)
    endpoints.add(webhook_id, EndpointSettings(url=url, **fields))
    return endpoints


def outcomes(delivery: Delivery) -> list[int | str | None]:
    return [attempt.status or attempt.error for attempt in delivery.attempts]


@pytest.mark.parametrize("state", STATES)
def test_every_end_is_told_to_callback_and_webhook(
    any_office: Office, receiver: Receiver, state: FinalState
) -> None:
    """With a signature that the library finds good, each under an id of its own; then nothing is
    left in the outbox."""
    office = any_office
    register(office, f"{receiver.origin}/webhook")
    request = office.end(state, callback_url=f"{receiver.origin}/callback", metadata={"run": "7"})
    assert office.deliver() == 2
    assert {sent.path for sent in receiver.got} == {"/callback", "/webhook"}
    assert len(set(receiver.ids())) == 2
    for sent in receiver.got:
        message = office.verified(sent)
        assert message["type"] == f"job.{state}"
        assert message["data"]["id"] == request.id
        assert message["data"]["state"] == state
        assert message["data"]["metadata"] == {"run": "7"}
        assert message["timestamp"] == message["data"]["finished_at"]
    assert {delivery.state for delivery in office.deliveries(request)} == {"delivered"}
    assert {delivery.id for delivery in office.deliveries(request)} == set(receiver.ids())
    assert (office.marks(), office.deliver()) == ([], 0)


def test_what_is_told(office: Office, receiver: Receiver) -> None:
    """What a caller needs to act, and nothing that it should not have."""
    office.end(JobState.REJECTED, callback_url=receiver.url)
    office.end(JobState.FAILED, callback_url=receiver.url)
    office.deliver()
    by_state = {m["data"]["state"]: m["data"] for m in map(office.verified, receiver.got)}
    rejected, failed = by_state["rejected"], by_state["failed"]
    assert (rejected["findings"], rejected["findings_total"]) == (["non_finite"], 7)
    assert rejected["verdict"] == "rejected"
    assert failed["error"] == {"code": "os_error", "message": "the disk"}
    assert (failed["summary"], failed["links"]) == (None, {"self": f"/v1/jobs/{failed['id']}"})
    for sent in receiver.got:
        assert office.secret not in sent.body.decode() + str(sent.headers)


def test_nobody_to_tell_leaves_nothing(office: Office) -> None:
    """Most jobs have neither callback nor webhook."""
    request = office.end()
    assert office.deliveries(request) == []
    assert office.marks() == []


def test_a_failure_is_tried_again_in_the_same_bytes(office: Office, receiver: Receiver) -> None:
    """Under the same id, by the table, with a fresh time and signature."""
    receiver.answer(500, 429, 200)
    request = office.end(callback_url=receiver.url)
    assert office.deliver() == 1
    assert office.deliver() == 0
    office.clock.pass_seconds(PAUSES[0])
    assert office.deliver() == 1
    office.clock.pass_seconds(PAUSES[1] - 1)
    assert office.deliver() == 0
    office.clock.pass_seconds(1)
    assert office.deliver() == 1
    assert len({sent.body for sent in receiver.got}) == 1
    assert len(set(receiver.ids())) == 1
    stamps = [int(sent.headers["webhook-timestamp"]) for sent in receiver.got]
    assert stamps == [stamps[0], stamps[0] + 5, stamps[0] + 305]
    (delivery,) = office.deliveries(request)
    assert (delivery.state, outcomes(delivery)) == ("delivered", [500, 429, 200])
    assert office.marks() == []


def test_after_the_last_attempt_it_has_failed(office: Office, receiver: Receiver) -> None:
    """Ten attempts, and then no more of its own accord."""
    receiver.answer(503)
    request = office.end(callback_url=receiver.url)
    for pause in (0, *PAUSES):
        office.clock.pass_seconds(pause)
        assert office.deliver() == 1
    (delivery,) = office.deliveries(request)
    assert (delivery.state, len(delivery.attempts)) == ("failed", 10)
    assert office.marks() == []


def test_retry_after_is_kept_to(office: Office, receiver: Receiver) -> None:
    """Where it asks for more than the table does."""
    receiver.answer((503, {"Retry-After": "60"}), 200)
    office.end(callback_url=receiver.url)
    office.deliver()
    office.clock.pass_seconds(59)
    assert office.deliver() == 0
    office.clock.pass_seconds(1)
    assert office.deliver() == 1


def test_410_ends_it_and_switches_the_webhook_off(office: Office, receiver: Receiver) -> None:
    """It is not told of later ends, until its owner switches it on again."""
    receiver.answer(410)
    endpoints = register(office, receiver.url)
    request = office.end()
    office.deliver()
    (delivery,) = office.deliveries(request)
    assert (delivery.state, outcomes(delivery)) == ("gone", [410])
    endpoint = endpoints.get(WEBHOOK)
    assert endpoint is not None
    assert (endpoint.settings.enabled, endpoint.settings.disabled) == (False, "gone")
    assert office.deliveries(office.end()) == []
    assert office.marks() == []


def test_410_of_a_callback_ends_that_alone(office: Office, receiver: Receiver) -> None:
    """It is one job's."""
    receiver.answer(410, 200)
    first, second = (office.end(callback_url=receiver.url) for _ in range(2))
    office.deliver()
    states = {d.state for job in (first, second) for d in office.deliveries(job)}
    assert states == {"gone", "delivered"}


def test_410_does_not_switch_off_what_was_changed_meanwhile(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another URL is another receiver."""
    receiver.answer(410)
    endpoints = register(office, receiver.url)
    office.end()
    send = type(office.used).send

    def changed_first(*given: Any) -> Any:
        endpoints.change(WEBHOOK, EndpointSettings(url=f"{receiver.origin}/new"))
        return send(*given)

    monkeypatch.setattr(type(office.used), "send", changed_first)
    office.deliver()
    endpoint = endpoints.get(WEBHOOK)
    assert endpoint is not None
    assert endpoint.settings == EndpointSettings(url=f"{receiver.origin}/new")


def test_a_webhook_is_told_what_it_chose(office: Office, receiver: Receiver) -> None:
    """And nothing while it is off."""
    register(office, f"{receiver.origin}/bad", events=["job.failed", "job.rejected"])
    register(office, f"{receiver.origin}/off", OTHER, enabled=False)
    for state in STATES:
        office.end(state)
    office.deliver()
    assert {sent.path for sent in receiver.got} == {"/bad"}
    told = sorted(message_of(sent.body)["type"] for sent in receiver.got)
    assert told == ["job.failed", "job.rejected"]


def test_what_waits_is_told_at_the_new_url(office: Office, receiver: Receiver) -> None:
    """A mistyped one is mended without losing an end."""
    receiver.answer(404, 200)
    endpoints = register(office, f"{receiver.origin}/tpyo")
    request = office.end()
    office.deliver()
    endpoints.change(WEBHOOK, EndpointSettings(url=f"{receiver.origin}/right"))
    office.clock.pass_seconds(5)
    office.deliver()
    assert [sent.path for sent in receiver.got] == ["/tpyo", "/right"]
    assert office.deliveries(request)[0].url == f"{receiver.origin}/right"


@pytest.mark.parametrize("how", ["removed", "disabled"])
def test_what_waits_for_a_webhook_that_is_no_more_is_not_told(
    office: Office, receiver: Receiver, how: str
) -> None:
    """Removed or switched off: it ends there."""
    endpoints = register(office, receiver.url)
    request = office.end()
    if how == "removed":
        endpoints.remove(WEBHOOK)
    else:
        endpoints.change(WEBHOOK, EndpointSettings(url=receiver.url, enabled=False))
    office.deliver()
    (delivery,) = office.deliveries(request)
    assert (delivery.state, outcomes(delivery)) == ("gone", [f"webhook_{how}"])
    assert receiver.got == []


def test_both_secrets_sign_while_they_overlap(office: Office, receiver: Receiver) -> None:
    """A receiver that has the old one and one that has the new one both find it good."""
    new = Secrets(office.store, TENANT).rotate(overlap_ms=86_400_000, now_ms=office.clock.ms)
    office.end(callback_url=receiver.url)
    office.deliver()
    (sent,) = receiver.got
    assert len(sent.headers["webhook-signature"].split()) == 2
    assert Webhook(new.secret).verify(sent.body, sent.headers) == office.verified(sent)


def test_without_a_secret_nothing_is_sent(office: Office, receiver: Receiver) -> None:
    """Unsigned it could be anybody's. It is tried again, as after any failure."""
    for key in list(office.store.list(layout.webhook_secrets(TENANT))):
        office.store.delete(key)
    request = office.end(callback_url=receiver.url)
    office.deliver()
    (delivery,) = office.deliveries(request)
    assert (delivery.state, outcomes(delivery)) == ("pending", ["secret_missing"])
    assert receiver.got == []


def test_two_couriers_send_it_once(office: Office) -> None:
    """Both find the mark at the same moment; one of them has the lock."""
    with receiving(held=True) as slow:
        office.receivers.append(slow)
        office.__post_init__()
        request = office.end(callback_url=slow.url)
        (mark,) = office.records.outbox.due(TENANT, office.clock.ms)
        first = Thread(target=office.deliverer().deliver, args=(mark,))
        first.start()
        while not slow.got:
            pass
        office.deliverer().deliver(mark)  # comes back at once, though the other still waits
        slow.go.set()
        first.join()
        assert len(slow.got) == 1
    assert office.deliveries(request)[0].state == "delivered"
    office.deliverer().deliver(mark)
    assert len(slow.got) == 1


def test_without_redis_it_is_sent_all_the_same(office: Office, receiver: Receiver) -> None:
    """By two couriers twice, at worst: under one id, and it ends as delivered."""
    office.redis = Redis.from_url("redis://127.0.0.1:1/0")
    request = office.end(callback_url=receiver.url)
    (mark,) = office.records.outbox.due(TENANT, office.clock.ms)
    barrier = Barrier(2)

    def deliver() -> None:
        barrier.wait()
        office.deliverer().deliver(mark)

    couriers = [Thread(target=deliver) for _ in range(2)]
    for courier in couriers:
        courier.start()
    for courier in couriers:
        courier.join()
    assert len(receiver.got) in (1, 2)
    assert len(set(receiver.ids())) == 1
    assert office.deliveries(request)[0].state == "delivered"
    assert office.marks() == []


def test_a_removed_job_is_told_to_nobody(office: Office, receiver: Receiver) -> None:
    """What waited of it goes with it, and its mark when it falls due."""
    receiver.answer(500)
    request = office.end(callback_url=receiver.url)
    office.deliver()
    office.records.remove(TENANT, request.id)
    assert office.deliveries(request) == []
    office.clock.pass_seconds(10)
    office.deliver()
    assert len(receiver.got) == 1
    assert office.marks() == []
    assert list(office.store.list(f"{layout.job(TENANT, request.id)}/")) == []


def test_a_job_that_is_removed_under_an_attempt_leaves_nothing(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word of the attempt comes after the removal, and is not kept."""
    receiver.answer(500)
    request = office.end(callback_url=receiver.url)
    send = type(office.used).send

    def removed_first(*given: Any) -> Any:
        office.records.remove(TENANT, request.id)
        return send(*given)

    monkeypatch.setattr(type(office.used), "send", removed_first)
    office.deliver()
    office.clock.pass_seconds(10)
    office.deliver()
    assert list(office.store.list(f"{layout.job(TENANT, request.id)}/")) == []
    assert (len(receiver.got), office.marks()) == (1, [])


@pytest.mark.parametrize("by", ["caller", "expiry"])
def test_the_word_of_an_attempt_in_the_middle_of_a_removal_is_not_left(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """It is put back just after it was deleted, while the job is still there."""
    request = office.end(callback_url=receiver.url)
    (delivery,) = office.deliveries(request)
    key, delete = layout.delivery(TENANT, request.id, delivery.id), LocalStore.delete
    put_back: list[str] = []

    def deleting(self: LocalStore, name: str) -> None:
        delete(self, name)
        if name == key and not put_back:
            put_back.append(name)
            office.records.outbox.save(delivery)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "delete", deleting)
        if by == "caller":
            office.records.remove(TENANT, request.id)
        else:
            later = datetime.now(UTC) + timedelta(days=2)
            assert expire(office.store, RetentionSettings(jobs=1), later).jobs == 1
    assert put_back == [key]
    assert list(office.store.list(f"{layout.job(TENANT, request.id)}/")) == []
    office.deliver()
    assert (receiver.got, office.marks()) == ([], [])


def test_a_damaged_record_is_named_and_holds_up_nobody(office: Office, receiver: Receiver) -> None:
    """Its mark stays, for whoever restores it."""
    request = office.end(callback_url=receiver.url)
    (delivery,) = office.deliveries(request)
    key = layout.delivery(TENANT, request.id, delivery.id)
    office.store.put(key, b"{}")
    (mark,) = office.records.outbox.due(TENANT, office.clock.ms)
    with pytest.raises(StoreError, match="no delivery of this version"):
        office.deliverer().deliver(mark)
    office.store.put(key, delivery.as_bytes())
    assert office.deliver() == 1
    assert office.deliveries(request)[0].state == "delivered"


def test_a_damaged_webhook_does_not_keep_jobs_from_ending(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it; the others are told."""
    register(office, receiver.url)
    register(office, receiver.url, OTHER)
    office.store.put(layout.webhook_settings(TENANT, OTHER), b"{}")
    assert len(office.deliveries(office.end())) == 1
    assert OTHER in caplog.text


def test_tenants_are_told_of_their_own_jobs_alone(office: Office, receiver: Receiver) -> None:
    """An endpoint hears nothing of others."""
    register(office, receiver.url)
    assert office.deliveries(office.end(tenant="umbrella")) == []
    assert Records(office.store).outbox.get("umbrella", WEBHOOK, "msg_" + "0" * 32) is None
