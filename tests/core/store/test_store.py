"""What every object store promises. Each test runs on a local folder and on a real S3 server."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from core.errors import StoreError
from core.store.base import ObjectChanged, ObjectExists, ObjectMissing, ObjectStore
from core.store.checks import BadKey

FOLDER_BOUNDARIES = ["a-b", "a.b/c", "a/b", "a/b!/x", "a/b-c", "a/c-d", "a/c/d", "a0", "a~"]
PLAIN_KEYS = ["jobs/01/request.json", "jobs/01/result.json", "jobs/02/request.json", "z", "é/𝄞"]

HOSTILE_KEYS = {
    "nothing": "",
    "the folder above": "..",
    "climbs out": "a/../../b",
    "climbs and comes back": "a/../b",
    "here": "a/./b",
    "absolute": "/etc/passwd",
    "ends in a slash": "a/",
    "empty segment": "a//b",
    "backslash": "a\\..\\b",
    "cut short by C": "a\0b",
    "forges a line of a log": "a\nb",
    "invisible": "a\x9fb",
    "half a character": "a\ud800b",
    "the store's own folder": ".tmp/x",
    "no file system takes the name": "a" * 256,
    "no S3 takes the key": "/".join(["a" * 100] * 11),
}


def test_what_was_put_is_what_one_gets(store: ObjectStore) -> None:
    """Bytes come back as they were, and every way of looking at them agrees."""
    put = store.put("a/b.json", b'{"x": 1}')

    assert store.get("a/b.json") == b'{"x": 1}'
    assert (put.key, put.size) == ("a/b.json", 8)
    assert store.info("a/b.json") == put


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    """No bytes are not no object: pending marks are empty."""
    store.put("pending/x", b"")

    assert store.get("pending/x") == b""
    assert list(store.list("pending/")) == ["pending/x"]
    assert store.get_file("pending/x", tmp_path / "copy") == hashlib.sha256(b"").hexdigest()


def test_a_put_replaces(store: ObjectStore) -> None:
    """The last put stands, and the ETag tells the versions apart, even of one size."""
    etags = {store.put("a", bytes([number])).etag for number in range(20)}

    assert store.get("a") == bytes([19])
    assert len(etags) == 20


@pytest.mark.parametrize("key", ["a b+c%2F&?=#;@", "é/𝄞", "\N{REPLACEMENT CHARACTER}", "-", "..."])
def test_unusual_keys_are_kept_to_the_letter(store: ObjectStore, key: str) -> None:
    """Any letters will do in a key, and a listing spells them the same way."""
    store.put(key, key.encode())

    assert store.get(key) == key.encode()
    assert list(store.list("")) == [key]


def test_if_absent_refuses_a_taken_key(store: ObjectStore) -> None:
    """A conditional put leaves what is there as it is."""
    store.put("a", b"first", if_absent=True)

    with pytest.raises(ObjectExists, match="another writer was first"):
        store.put("a", b"second", if_absent=True)
    assert store.get("a") == b"first"


def test_if_absent_takes_a_key_that_was_freed(store: ObjectStore) -> None:
    """After a delete the key can be taken again."""
    store.put("a/b", b"first", if_absent=True)
    store.delete("a/b")

    assert store.put("a/b", b"second", if_absent=True).size == 6


def test_a_race_has_exactly_one_winner(store: ObjectStore) -> None:
    """Of sixteen conditional puts at one time, one is told it won, and its bytes are there."""
    start = threading.Barrier(16)

    def contend(number: int) -> bool:
        start.wait()
        try:
            store.put("results/commit.json", b"%d" % number, if_absent=True)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(contend, range(16)))

    assert won.count(True) == 1
    assert store.get("results/commit.json") == b"%d" % won.index(True)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (7, None, b"789"),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (3, 0, b""),
        (10, None, b""),
        (50, 5, b""),
    ],
)
def test_a_range_is_read_as_a_slice(
    store: ObjectStore, start: int, length: int | None, expected: bytes
) -> None:
    """A range gives the bytes that there are in it, none if it lies past the end."""
    store.put("a", b"0123456789")

    assert store.get("a", start=start, length=length) == expected


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_a_negative_range_is_refused(store: ObjectStore, start: int, length: int) -> None:
    """S3 would read a negative start as a suffix: it is refused instead."""
    store.put("a", b"0123456789")

    with pytest.raises(BadKey) as caught:
        store.get("a", start=start, length=length)
    assert caught.value.code == "bad_range"


def test_get_file_writes_and_hashes(store: ObjectStore, tmp_path: Path) -> None:
    """The file holds the object, and the digest is of what was written."""
    etag = store.put("a", b"adapter").etag

    digest = store.get_file("a", tmp_path / "copy", etag=etag)

    assert (tmp_path / "copy").read_bytes() == b"adapter"
    assert digest == hashlib.sha256(b"adapter").hexdigest()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["copy"]


def test_get_file_never_writes_over_a_file(store: ObjectStore, tmp_path: Path) -> None:
    """A file in use keeps its bytes for those who have it open; the name gets a new file."""
    target = tmp_path / "copy"
    target.write_bytes(b"mapped")
    store.put("a", b"fresh!")

    with target.open("rb") as reader:
        store.get_file("a", target)
        assert reader.read() == b"mapped"
    assert target.read_bytes() == b"fresh!"


def test_get_file_refuses_another_version(store: ObjectStore, tmp_path: Path) -> None:
    """A pinned object that was replaced is an error, and no file is left."""
    etag = store.put("a", b"before").etag
    store.put("a", b"after!")

    with pytest.raises(ObjectChanged, match="replaced"):
        store.get_file("a", tmp_path / "copy", etag=etag)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_get_file_says_when_the_disk_refuses(store: ObjectStore, tmp_path: Path) -> None:
    """A scratch folder that is not there is a store error that says what to look at."""
    store.put("a", b"adapter")

    with pytest.raises(StoreError, match="scratch folder"):
        store.get_file("a", tmp_path / "missing" / "copy")


def test_a_large_file_goes_up_and_comes_back(store: ObjectStore, tmp_path: Path) -> None:
    """Twenty megabytes, several parts on S3, arrive as they left."""
    source = tmp_path / "large"
    source.write_bytes(b"".join(bytes([number]) * 2**20 for number in range(20)))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    info = store.put_file("a/large", source)

    assert info == store.info("a/large")
    assert info.size == 20 * 2**20
    assert store.get_file("a/large", tmp_path / "copy", etag=info.etag) == digest
    assert store.get("a/large", start=7 * 2**20 - 1, length=2) == b"\x06\x07"


def test_put_file_says_when_the_file_cannot_be_read(store: ObjectStore, tmp_path: Path) -> None:
    """A file that is gone is a store error that names it, and nothing is stored."""
    with pytest.raises(StoreError, match="Could not read 'gone'"):
        store.put_file("a", tmp_path / "gone")
    assert store.info("a") is None


def test_data_and_files_are_stored_together(store: ObjectStore, tmp_path: Path) -> None:
    """Under folders that are there and new ones, over what was there."""
    store.put("a/one", b"before")
    (tmp_path / "two").write_bytes(b"from a file")
    objects: dict[str, bytes | Path] = {
        "a/one": b"data",
        "b/c/two": tmp_path / "two",
        "b/three": b"",
    }
    store.put_all(objects)
    assert {key: store.get(key) for key in store.list("")} == {
        "a/one": b"data",
        "b/c/two": b"from a file",
        "b/three": b"",
    }


def test_of_those_stored_together_none_is_half_there(store: ObjectStore, tmp_path: Path) -> None:
    """A file that cannot be read is a store error that names it."""
    with pytest.raises(StoreError, match="Could not read 'gone'"):
        store.put_all({"a": b"whole", "b": tmp_path / "gone"})
    assert store.info("b") is None
    assert list(store.unfinished("")) == []


def test_a_stream_reads_in_pieces(store: ObjectStore) -> None:
    """An object can be read bit by bit, as any open file."""
    store.put("a", b"0123456789")

    with store.open("a") as stream:
        assert stream.read(4) == b"0123"
        assert stream.read(4) == b"4567"
        assert stream.read() == b"89"
        assert stream.read() == b""
    assert stream.closed


def test_a_stream_can_be_left_early(store: ObjectStore) -> None:
    """Closing a stream before its end lets go of it: the next request is served."""
    store.put("a", bytes(2**20))
    for _ in range(3):
        with store.open("a") as stream:
            assert stream.read(10) == bytes(10)
    assert store.info("a") is not None


@pytest.mark.parametrize(
    "read",
    [
        lambda store, _: store.get("a/missing"),
        lambda store, _: store.get("a/missing", start=2, length=2),
        lambda store, _: store.get("a/missing", start=2, length=0),
        lambda store, path: store.get_file("a/missing", path),
        lambda store, path: store.get_file("a/missing", path, etag="x"),
        lambda store, _: store.open("a/missing"),
        lambda store, _: store.get("a"),
        lambda store, _: store.get("a/b/c"),
    ],
)
def test_what_is_not_there_is_missing(
    store: ObjectStore, tmp_path: Path, read: Callable[[ObjectStore, Path], object]
) -> None:
    """Reading no object is `ObjectMissing`, in an empty place, above an object or below one."""
    store.put("a/b", b"x")

    with pytest.raises(ObjectMissing) as caught:
        read(store, tmp_path / "copy")
    assert caught.value.code == "object_missing"
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("key", ["a", "a/c", "a/b/c", "z"])
def test_no_object_has_no_info(store: ObjectStore, key: str) -> None:
    """To ask after a key that holds nothing is no error."""
    store.put("a/b", b"x")

    assert store.info(key) is None


def test_delete_removes_one_object(store: ObjectStore) -> None:
    """The object is gone, its neighbours stay."""
    store.put("a/b", b"x")
    store.put("a/c", b"x")

    store.delete("a/b")

    assert store.info("a/b") is None
    assert list(store.list("")) == ["a/c"]


@pytest.mark.parametrize("key", ["z", "a", "a/b/c", "a/c"])
def test_deleting_nothing_is_no_error(store: ObjectStore, key: str) -> None:
    """A delete of a key that holds no object does nothing, twice if need be."""
    store.put("a/b", b"x")

    store.delete(key)
    store.delete(key)

    assert store.get("a/b") == b"x"


def test_a_put_survives_deletes_next_door(store: ObjectStore) -> None:
    """Emptying a folder while others put into it loses none of their objects."""

    def come_and_go(number: int) -> None:
        for turn in range(10):
            store.put(f"jobs/{number}/{turn}", b"x", if_absent=turn % 2 == 0)
            assert store.get(f"jobs/{number}/{turn}") == b"x"
            store.delete(f"jobs/{number}/{turn}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(come_and_go, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]))
    assert list(store.list("")) == []


def test_a_listing_is_in_order(store: ObjectStore) -> None:
    """Keys come in ascending order, whatever the order they were put in."""
    for key in reversed(PLAIN_KEYS):
        store.put(key, b"")

    assert list(store.list("")) == sorted(PLAIN_KEYS, key=str.encode)


@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/b", "a/b-", "a/c", "a.", "a/c/d", "a/c/d/", "b", "nope/x"]
)
def test_a_prefix_may_end_anywhere(store: ObjectStore, prefix: str) -> None:
    """A prefix is text: it need not end where a folder does."""
    for key in FOLDER_BOUNDARIES:
        store.put(key, b"")

    expected = [key for key in FOLDER_BOUNDARIES if key.startswith(prefix)]
    assert sorted(store.list(prefix)) == expected


@pytest.mark.parametrize("prefix", ["", "a/"])
def test_a_listing_can_be_cut_and_taken_up_again(store: ObjectStore, prefix: str) -> None:
    """With its last key as `after`, the next listing goes on exactly there, at every cut."""
    for key in FOLDER_BOUNDARIES:
        store.put(key, b"")
    whole = list(store.list(prefix))

    for cut, key in enumerate(whole, start=1):
        assert list(store.list(prefix, after=key)) == whole[cut:]
        assert list(store.list(prefix, after=key, limit=2)) == whole[cut : cut + 2]


def test_after_need_not_be_a_key(store: ObjectStore) -> None:
    """A listing begins past any text, whether or not an object has that name."""
    for key in PLAIN_KEYS:
        store.put(key, b"")

    assert list(store.list("jobs/", after="jobs/01/s")) == ["jobs/02/request.json"]
    assert list(store.list("jobs/", after="a")) == PLAIN_KEYS[:3]
    assert list(store.list("jobs/", after="k")) == []


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_a_limit_is_kept(store: ObjectStore, limit: int) -> None:
    """No more keys than asked for, and the first ones."""
    for key in PLAIN_KEYS:
        store.put(key, b"")
    assert list(store.list("", limit=limit)) == PLAIN_KEYS[:limit]


def test_a_listing_may_be_left_unread(store: ObjectStore) -> None:
    """A listing is lazy: one may stop, and delete what has been listed."""
    for number in range(10):
        store.put(f"pending/{number}", b"")

    for key in islice(store.list("pending/"), 5):
        store.delete(key)

    assert [key[-1] for key in store.list("pending/")] == list("56789")


@pytest.mark.parametrize("key", HOSTILE_KEYS.values(), ids=HOSTILE_KEYS.keys())
def test_a_hostile_key_is_refused_everywhere(store: ObjectStore, tmp_path: Path, key: str) -> None:
    """No call takes a key that could mean another place than it says."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, b"x"),
        lambda: store.put(key, b"x", if_absent=True),
        lambda: store.put_file(key, source),
        lambda: store.get(key),
        lambda: store.get(key, length=0),
        lambda: store.get_file(key, tmp_path / "copy"),
        lambda: store.open(key),
        lambda: store.info(key),
        lambda: store.delete(key),
        lambda: store.presigned_url(key, filename="x", seconds=60),
    ]

    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "bad_key"
    assert list(store.list("")) == []


@pytest.mark.parametrize("prefix", ["../", "a/../", "a//b", "/etc/", "a\0", "a/\\", "\ud800"])
def test_a_hostile_prefix_is_refused(store: ObjectStore, prefix: str) -> None:
    """A listing does not look outside either, and says so at once, not when it is read."""
    with pytest.raises(BadKey):
        store.list(prefix)


@pytest.mark.parametrize("after", ["a\0", "\ud800"])
def test_a_hostile_after_is_refused(store: ObjectStore, after: str) -> None:
    """What cannot be part of a key is no place to go on from."""
    with pytest.raises(BadKey):
        store.list("", after=after)


def test_the_check_passes_on_a_store_that_answers(store: ObjectStore) -> None:
    """A readiness probe succeeds, again and again, and leaves no object."""
    store.check()
    store.check()
    assert list(store.list("")) == []


def test_folders_are_listed_without_what_they_hold(store: ObjectStore) -> None:
    """`folders` names each folder right under the prefix once, ascending, and no objects."""
    for key in ("t/b/pending/1", "t/b/pending/2", "t/a/x", "t/c.d/y/z", "t/plain", "u/no"):
        store.put(key, b"")
    assert list(store.folders("t/")) == ["a", "b", "c.d"]
    assert list(store.folders("nothing/")) == []
