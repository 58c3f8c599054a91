"""The counters see what they are for."""

import pytest
from redis import Redis

from core.store.local import LocalStore
from tests.performance.counting import StoreCalls, assert_within, round_trips


def test_each_call_of_a_store_counts(local_store: LocalStore) -> None:
    """And does what it did."""
    calls = StoreCalls(local_store)
    store = calls.as_store
    store.put("a/b", b"x")
    assert store.get("a/b") == b"x"
    assert list(store.list("a/")) == ["a/b"]
    assert store.direct is None
    assert calls.counts == {"put": 1, "get": 1, "list": 1}


def test_what_is_sent_at_once_is_one_round_trip(redis: Redis) -> None:
    """However many commands; a connection's own greetings are none."""
    with round_trips() as trips:
        redis.get("a")
        with redis.pipeline() as pipeline:
            pipeline.set("a", "*1")
            pipeline.expire("a", 10)
            pipeline.execute()
    assert trips == {"GET": 1, "SET…": 1}


def test_what_grew_is_named() -> None:
    """With how much there was, and what was not there at all."""
    assert_within({"get": 2}, {"get": 2, "put": 1})
    with pytest.raises(AssertionError, match=r"3 get, not 2, 1 list, not 0"):
        assert_within({"get": 3, "put": 1, "list": 1}, {"get": 2, "put": 1})
