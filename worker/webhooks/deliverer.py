"""One delivery that is due: looked up, signed, sent, and what came of it recorded."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from opentelemetry.trace import SpanKind
from redis import Redis
from redis.exceptions import RedisError

from core.jobs import now
from core.observing.context import belonging
from core.observing.errands import CourierMetrics
from core.observing.traces import current_traceparent, link_to, span
from core.records import Records
from core.settings import WebhookSettings
from core.webhooks.endpoints import Endpoint, Endpoints
from core.webhooks.outbox import KEPT_ATTEMPTS, Attempt, Delivery, DeliveryState, Mark, now_ms
from core.webhooks.schedule import pause_after
from core.webhooks.signing import Secrets, sign
from worker.webhooks.sender import GONE, Outcome, Sender

_LOCK_MARGIN = 10.0  # seconds for the store, before and after the attempt

_log = logging.getLogger(__name__)


class Deliverer:
    """Safe to share between threads. `clock` in ms since 1970, `chance` from 0 to 1."""

    def __init__(
        self,
        records: Records,
        redis: Redis,
        settings: WebhookSettings,
        sender: Sender,
        *,
        clock: Callable[[], int] = now_ms,
        chance: Callable[[], float] = random.random,
        metrics: CourierMetrics | None = None,
    ) -> None:
        self._metrics = metrics or CourierMetrics()
        self._records = records
        self._redis = redis
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._chance = chance

    def deliver(self, mark: Mark) -> None:
        """Make the attempt that the mark says is due, unless it was made or somebody else makes it.

        Raises `StoreError`; the mark is then still there, or another one is. A process that dies
        between the attempt and its record has it made again, under the same id.
        """
        with self._only_here(mark.delivery_id) as is_ours:
            if not is_ours:
                return
            outbox = self._records.outbox
            delivery = outbox.get(mark.tenant, mark.job_id, mark.delivery_id)
            is_due = (
                delivery is not None
                and delivery.state == "pending"
                and delivery.due_ms <= self._clock()
            )
            if delivery is None or not is_due:
                outbox.put_right(mark, delivery)
                return
            linked = link_to(delivery.traceparent)
            with (
                belonging(job_id=mark.job_id),
                span("webhook", kind=SpanKind.CLIENT, links=linked, job_id=mark.job_id),
            ):
                outbox.save(self._attempted(delivery), mark)

    def _attempted(self, delivery: Delivery) -> Delivery:
        at = now()
        endpoint: Endpoint | None = None
        if delivery.webhook_id is not None:
            endpoint = Endpoints(self._records.store, delivery.tenant).get(delivery.webhook_id)
            if endpoint is None or not endpoint.settings.enabled:
                why = "webhook_removed" if endpoint is None else "webhook_disabled"
                return self._after(delivery, at, Outcome(0.0, error=why))
            delivery = delivery.model_copy(update={"url": endpoint.settings.url})
        outcome = self._sent(delivery)
        if outcome.status == GONE and endpoint is not None:
            self._disable(delivery.tenant, endpoint)
        return self._after(delivery, at, outcome)

    def _sent(self, delivery: Delivery) -> Outcome:
        secrets = Secrets(self._records.store, delivery.tenant).signing(self._clock())
        if not secrets:
            return Outcome(0.0, error="secret_missing")
        body = delivery.body.encode()
        seconds = self._clock() // 1000
        headers = sign(secrets, message_id=delivery.id, timestamp=seconds, body=body)
        traceparent = current_traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        return self._sender.send(delivery.url, headers, body)

    def _after(self, delivery: Delivery, at: str, outcome: Outcome) -> Delivery:
        attempt = Attempt(
            at=at, seconds=outcome.seconds, status=outcome.status, error=outcome.error
        )
        in_a_row = delivery.in_a_row + 1
        state: DeliveryState = "pending"
        due_ms = delivery.due_ms
        if outcome.error is None:
            state = "delivered"
        elif outcome.error in ("gone", "webhook_removed", "webhook_disabled"):
            state = "gone"
        else:
            pause = pause_after(in_a_row, asked=outcome.retry_after, chance=self._chance)
            if pause is None:
                state = "failed"
            else:
                due_ms = self._clock() + int(pause * 1000)
        self._metrics.attempted(outcome.error, outcome.seconds, state)
        _log.log(
            logging.INFO if state in ("delivered", "pending") else logging.WARNING,
            "delivery %s of job %s, tenant %s: %s%s",
            delivery.id,
            delivery.job_id,
            delivery.tenant,
            state,
            f" ({outcome.error})" if outcome.error else "",
        )
        return delivery.model_copy(
            update={
                "state": state,
                "due_ms": due_ms,
                "in_a_row": in_a_row,
                "attempts": [*delivery.attempts, attempt][-KEPT_ATTEMPTS:],
            }
        )

    def _disable(self, tenant: str, endpoint: Endpoint) -> None:
        """Unless its owner gave it another URL meanwhile."""
        endpoints = Endpoints(self._records.store, tenant)
        standing = endpoints.get(endpoint.id)
        if standing is not None and standing.settings == endpoint.settings:
            off = standing.settings.model_copy(update={"enabled": False, "disabled": "gone"})
            endpoints.change(endpoint.id, off)
            _log.warning("webhook %s of tenant %s is gone: switched off", endpoint.id, tenant)

    @contextmanager
    def _only_here(self, delivery_id: str) -> Iterator[bool]:
        """False if another courier has it in hand. Without Redis nobody can tell, and it is sent
        all the same: receivers know an id that they saw."""
        seconds = self._settings.timeout + _LOCK_MARGIN
        lock = self._redis.lock(f"safelora:delivery:{delivery_id}", timeout=seconds)
        try:
            is_ours = bool(lock.acquire(blocking=False))
        except RedisError as error:
            _log.debug("delivery %s is not locked: %s", delivery_id, error)
            yield True
            return
        try:
            yield is_ours
        finally:
            if is_ours:
                with suppress(RedisError):
                    lock.release()
