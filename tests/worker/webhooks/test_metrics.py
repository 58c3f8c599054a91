"""What is told of attempts, and of what waits for one."""

from threading import Event

from redis import Redis

from core.settings import WebhookSettings
from core.store.local import LocalStore
from tests.metrics import told
from tests.worker.webhooks.office import Office, Remembering
from worker.webhooks.rounds import Rounds
from worker.webhooks.sender import Outcome

URL = "https://platform.example/told"


def test_attempts_are_told_by_what_came_of_them(local_store: LocalStore, redis: Redis) -> None:
    """A delivery that is tried again has not ended."""
    answers = [Outcome(0.5, 500, "status"), Outcome(0.1, None, "timeout"), Outcome(0.1, 200)]
    office = Office(local_store, redis, [], sender=Remembering(lambda: answers.pop(0)))
    office.end(callback_url=URL)
    for _ in range(3):
        office.deliver()
        office.clock.pass_seconds(24 * 3600)
    found = told(office.metrics.registry)
    for outcome in ("status", "timeout", "delivered"):
        assert found("safelora_webhook_attempts_total", outcome=outcome) == 1
    assert found("safelora_webhook_attempt_duration_seconds_sum") == 0.7
    assert found("safelora_webhook_deliveries_ended_total", state="delivered") == 1


def test_what_is_due_is_told_with_its_age(local_store: LocalStore, redis: Redis) -> None:
    """As of the last look: nothing that is due later counts, nor what is under way by then."""
    office = Office(local_store, redis, [], sender=Remembering())
    office.end(callback_url=URL)
    rounds = Rounds(
        office.records.outbox,
        lambda _: None,
        WebhookSettings(every=0.01),
        office.clock,
        office.metrics,
    )
    rounds.look(Event())
    rounds.wait(5)
    found = told(office.metrics.registry)
    assert found("safelora_webhook_deliveries_due") == 1
    assert found("safelora_webhook_oldest_due_seconds") > 0
