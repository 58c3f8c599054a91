"""A receiver that takes everything, and deliveries to it, on each kind of store."""

from collections.abc import Iterator

import pytest
from redis import Redis

from core.store.base import ObjectStore
from core.store.local import LocalStore
from tests.worker.webhooks.office import Office
from tests.worker.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def office(local_store: LocalStore, redis: Redis, receiver: Receiver) -> Office:
    return Office(local_store, redis, [receiver])


@pytest.fixture
def any_office(store: ObjectStore, redis: Redis, receiver: Receiver) -> Office:
    return Office(store, redis, [receiver])
