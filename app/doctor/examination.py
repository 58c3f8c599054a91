"""Everything that is looked at, in order."""

from collections.abc import Iterator

from app.doctor.access import key_checks, signing_checks
from app.doctor.alignments import alignment_checks
from app.doctor.check import Check, guarded
from app.doctor.disk import disk_checks
from app.doctor.environment import settings_checks
from app.doctor.machine import machine_checks
from app.doctor.queue import failure_checks, queue_checks, webhook_checks
from app.doctor.redis import redis_checks
from app.doctor.store import store_answers, store_checks
from core.queue import JobQueue, connect
from core.records import Records
from core.settings import Settings
from core.store import open_store
from core.store.base import ObjectStore

_REDIS = "start it, or mend SAFELORA_REDIS__URL; jobs are accepted meanwhile, and wait"
_STORE = "see the store's own log, and docs/settings.md#store"


def examine(settings: Settings) -> Iterator[Check]:
    """Each as soon as it is known. What rests on something that is away is left out."""
    yield from settings_checks(settings)
    yield from guarded("redis", _redis(settings), _REDIS)
    yield from guarded("store", _store(settings), _STORE)
    yield from disk_checks(settings)
    yield from machine_checks(settings)


def _redis(settings: Settings) -> Iterator[Check]:
    yield from redis_checks(settings)
    with connect(settings.redis, answer_within=settings.redis.answer_timeout) as redis:
        yield from queue_checks(JobQueue(redis, settings.queue, settings.tenants))


def _store(settings: Settings) -> Iterator[Check]:
    store = open_store(settings.store)
    try:
        away = store_answers(store)
        if away is not None:
            yield away
            return
        yield from _in_store(settings, store)
    finally:
        store.close()


def _in_store(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    """Each on its own: what one cannot read does not keep the others."""
    records = Records(store)
    webhooks = webhook_checks(records, enabled=settings.webhooks.enabled)
    yield from guarded("store", store_checks(settings, store), _STORE)
    yield from guarded("api keys", key_checks(settings, store), _STORE)
    yield from guarded("signing key", signing_checks(settings, store), _STORE)
    yield from guarded("alignments", alignment_checks(records), _STORE)
    yield from guarded("failed jobs", failure_checks(records), _STORE)
    yield from guarded("webhooks", webhooks, _STORE)
