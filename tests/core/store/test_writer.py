"""Objects written as their bytes come, and copies within the store: on a folder and on S3."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import StoreError
from core.store.base import ObjectChanged, ObjectExists, ObjectMissing, ObjectStore
from core.store.checks import BadKey
from core.store.s3 import S3Store
from core.store.s3_writer import PART

SHORT, LONG = b"an adapter", b"0123456789abcdef" * ((2 * PART) // 16) + b"and the rest"


class Broken(Exception):
    """The sender went away."""


@pytest.mark.parametrize("data", [b"", SHORT, LONG[:PART], LONG[: PART + 1], LONG])
def test_what_was_written_is_what_one_gets(store: ObjectStore, data: bytes) -> None:
    """Whole parts, parts of parts and nothing at all."""
    with store.writer("a/b") as writer:
        for start in range(0, len(data), 3_000_001):
            writer.write(memoryview(data)[start : start + 3_000_001])
    assert store.get("a/b") == data
    info = store.info("a/b")
    assert info is not None
    assert info.size == len(data)
    assert list(store.unfinished("")) == []


def test_writers_commit_together(store: ObjectStore) -> None:
    """One whose key is taken says so, and takes nothing from what is there."""
    contents = {"a/b": SHORT, "a/c": LONG[: PART + 1], "d": b""}
    writers = [store.writer(key, if_absent=True) for key in contents]
    for writer, data in zip(writers, contents.values(), strict=True):
        writer.write(data)
    store.commit_all(writers)
    assert {key: store.get(key) for key in contents} == contents
    late = store.writer("a/b", if_absent=True)
    late.write(b"late")
    with pytest.raises(ObjectExists):
        store.commit_all([late])
    late.abort()
    assert store.get("a/b") == SHORT
    assert list(store.unfinished("")) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_pieces_may_be_of_any_size(store: ObjectStore, pieces: list[bytes]) -> None:
    """They are joined in order."""
    with store.writer("a") as writer:
        for piece in pieces:
            writer.write(piece)
    assert store.get("a") == b"".join(pieces)


@pytest.mark.parametrize("data", [SHORT, LONG])
def test_nobody_sees_it_before_it_is_whole(store: ObjectStore, data: bytes) -> None:
    """Neither under its key nor in a listing; what was there stays until then."""
    store.put("a", b"before")
    writer = store.writer("a")
    writer.write(data)
    assert store.get("a") == b"before"
    assert list(store.list("")) == ["a"]
    info = writer.commit()
    assert store.get("a") == data
    assert info == store.info("a")


@pytest.mark.parametrize("data", [SHORT, LONG])
def test_what_breaks_off_leaves_nothing(store: ObjectStore, data: bytes) -> None:
    """No object, and nothing unfinished that takes up room."""
    with pytest.raises(Broken), store.writer("a") as writer:
        writer.write(data)
        raise Broken
    assert store.info("a") is None
    assert list(store.unfinished("")) == []


def test_what_a_killed_process_wrote_is_found(store: ObjectStore) -> None:
    """Among the unfinished puts, from which expiry frees it."""
    writer = store.writer("a")
    writer.write(LONG)
    [left] = store.unfinished("")
    store.give_up(left)
    assert list(store.unfinished("")) == []
    writer.abort()
    assert store.info("a") is None


@pytest.mark.parametrize("data", [SHORT, LONG])
def test_if_absent_refuses_a_taken_key(store: ObjectStore, data: bytes) -> None:
    """Also one that was taken while it was written; nothing of the loser stays."""
    writer = store.writer("a", if_absent=True)
    writer.write(data)
    store.put("a", b"first")
    with pytest.raises(ObjectExists):
        writer.commit()
    writer.abort()
    assert store.get("a") == b"first"
    assert list(store.unfinished("")) == []


def test_a_race_has_exactly_one_winner(store: ObjectStore) -> None:
    """Of eight that write the same key. In parts only on a store that decides that in one step:
    AWS does, SeaweedFS 4.48 does not."""
    data = SHORT if isinstance(store, S3Store) else LONG
    won: list[int] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        writer = store.writer("a", if_absent=True)
        writer.write(data[:-1] + bytes([number]))
        start.wait(30)
        try:
            writer.commit()
            won.append(number)
        except ObjectExists:
            pass
        finally:
            writer.abort()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert store.get("a")[-1:] == bytes(won)


def test_a_lost_answer_to_its_end_is_no_failure(s3_store: S3Store) -> None:
    """The upload is complete, and asking again finds it gone: the object is the writer's own."""
    writer = s3_store.writer("a", if_absent=True)
    writer.write(LONG)
    client, complete = s3_store._client, s3_store._client.complete_multipart_upload

    def twice(**request: object) -> object:
        complete(**request)  # type: ignore[arg-type]
        return complete(**request)  # type: ignore[arg-type]

    client.complete_multipart_upload = twice  # type: ignore[method-assign,assignment]
    assert writer.commit().size == len(LONG)
    assert s3_store.get("a") == LONG


def test_a_part_that_cannot_be_sent_ends_it(s3_store: S3Store) -> None:
    """With the store's own error, at the next part or at the end."""
    writer = s3_store.writer("a")
    writer.write(LONG[: PART + 1])
    [upload] = s3_store.unfinished("")
    s3_store.give_up(upload)
    with pytest.raises(StoreError):
        for _ in range(3):
            writer.write(LONG)
    writer.abort()
    assert s3_store.info("a") is None


@pytest.mark.parametrize("key", ["", "../a", "a//b", ".tmp/x"])
def test_only_keys_are_written(store: ObjectStore, key: str) -> None:
    """As for every put."""
    with pytest.raises(BadKey):
        store.writer(key)
    store.put("a", b"x")
    with pytest.raises(BadKey):
        store.copy("a", key)


def test_a_copy_is_an_object_of_its_own(store: ObjectStore) -> None:
    """What becomes of the first does not touch it."""
    info = store.put("a", SHORT)
    copied = store.copy("a", "b/c", etag=info.etag)
    store.put("a", b"others")
    assert store.get("b/c") == SHORT
    assert (copied.key, copied.size) == ("b/c", len(SHORT))
    store.delete("a")
    assert store.get("b/c") == SHORT


def test_only_the_version_that_was_meant_is_copied(store: ObjectStore) -> None:
    """Another is refused, and nothing copied; so is what is not there."""
    etag = store.put("a", SHORT).etag
    store.put("a", b"others")
    with pytest.raises(ObjectChanged):
        store.copy("a", "b", etag=etag)
    with pytest.raises(ObjectMissing):
        store.copy("nothing", "b")
    assert list(store.list("")) == ["a"]


def test_a_copy_in_parts_is_whole(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of what is larger than S3 copies in one request."""
    monkeypatch.setattr("core.store.s3._COPIED_AT_ONCE", PART)
    with s3_store.writer("a") as writer:
        writer.write(LONG)
    info = s3_store.info("a")
    assert info is not None
    s3_store.copy("a", "b", etag=info.etag)
    assert s3_store.get("b") == LONG
    with pytest.raises(ObjectChanged):
        s3_store.copy("a", "c", etag="0" * 32)
    assert s3_store.info("c") is None
