"""A cache Redis that fails in any way costs a fetch from the store, and nothing else."""

import logging
import socket
import time
from pathlib import Path

import pytest
from redis import Redis

from core.alignments import Manifest
from tests.servers import ValkeyServer, free_ports
from tests.worker.alignment.tiers.making import CountingStore, Machine, load_all, same
from worker.alignment.tiers import RedisTier
from worker.alignment.tiers.redis import LARGEST


def test_a_redis_that_is_down_is_a_miss(
    manifest: Manifest,
    counting: CountingStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every module comes from the store, and one warning says why."""
    redis = RedisTier(f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    load_all(Machine(tmp_path / "cache", counting, redis).process(manifest))
    assert counting.gets == dict.fromkeys(manifest.files, 1)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


def test_a_redis_that_hangs_is_waited_for_once(
    manifest: Manifest,
    counting: CountingStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After one answer that did not come it is left alone: twelve files wait once."""
    monkeypatch.setattr("worker.alignment.tiers.redis.ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        redis = RedisTier(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        started = time.monotonic()
        load_all(Machine(tmp_path / "cache", counting, redis).process(manifest))
    assert time.monotonic() - started < 3 * 0.5
    assert counting.gets.keys() == set(manifest.files)


def test_a_full_redis_keeps_nothing(
    manifest: Manifest,
    counting: CountingStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Out of memory at every put: modules load, and one warning says why."""
    with ValkeyServer("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        redis = RedisTier(server.url)
        load_all(Machine(tmp_path / "cache", counting, redis).process(manifest))
        redis.close()
    assert len(caplog.records) == 1
    assert "OutOfMemory" in caplog.text or "OOM" in caplog.text or "maxmemory" in caplog.text


def test_a_key_of_another_type_is_a_miss(
    manifest: Manifest,
    counting: CountingStore,
    redis_tier: RedisTier,
    client: Redis,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A list where the shard should be: the store serves, and the shard takes its place."""
    name = manifest.modules[0].shard
    key = f"safelora:shard:{name.removesuffix('.safetensors')}"
    client.lpush(key, "x")
    before = load_all(Machine(tmp_path / "one", counting, redis_tier).process(manifest))
    assert len(caplog.records) == 1
    after = load_all(Machine(tmp_path / "two", counting, redis_tier).process(manifest))
    assert same(before, after)
    assert counting.gets == dict.fromkeys(manifest.files, 1)


def test_what_one_value_cannot_hold_is_not_put(
    redis_tier: RedisTier, client: Redis, tmp_path: Path
) -> None:
    """One byte over 512 MB (of a file that takes no room): no key, no error."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LARGEST + 1)
    redis_tier.keep("0" * 64, large)
    assert client.dbsize() == 0


def test_the_password_is_in_no_warning(
    manifest: Manifest,
    counting: CountingStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Refused or not reached, the warning names the failure and no secret."""
    with ValkeyServer() as server:
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", "right")
        wrong = server.url.replace("redis://", "redis://:hush-hush@")
        redis = RedisTier(wrong)
        load_all(Machine(tmp_path / "one", counting, redis).process(manifest))
        redis.close()
    load_all(Machine(tmp_path / "two", counting, RedisTier(wrong)).process(manifest))
    assert len(caplog.records) == 2
    assert "hush-hush" not in caplog.text
