"""What the local store adds to the promises of every store."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StoreError
from core.store.checks import BadKey
from core.store.local import LocalStore
from tests.core.store.test_store import FOLDER_BOUNDARIES

# Letters on both sides of the slash, which is what decides the order at a folder's boundary.
names = st.text(alphabet="!-.0aé𝄞", min_size=1, max_size=3).filter(lambda name: name.strip("."))
keys = st.lists(names, min_size=1, max_size=3).map("/".join)


def without_conflicts(drawn: set[str]) -> set[str]:
    """Keys that can be files side by side: none is a folder of another."""
    return {key for key in drawn if not any(other.startswith(f"{key}/") for other in drawn)}


def unfinished(root: Path) -> list[Path]:
    return list((root / ".tmp").iterdir())


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """A disk that is full after `size` bytes, as far as this process can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_key_is_a_path(local_store: LocalStore, tmp_path: Path) -> None:
    """An output folder reads as it lies: other programs may open it without this one."""
    local_store.put("outputs/x/adapter_config.json", b"{}")

    assert (tmp_path / "store/outputs/x/adapter_config.json").read_bytes() == b"{}"


def test_the_order_is_that_of_the_bytes(local_store: LocalStore) -> None:
    """A folder sorts with its slash, as S3 sorts: `a-b` < `a/b` < `a0`."""
    for key in reversed(FOLDER_BOUNDARIES):
        local_store.put(key, b"")

    assert list(local_store.list("")) == FOLDER_BOUNDARIES


@settings(max_examples=60, deadline=None)
@given(
    stored=st.sets(keys, max_size=8).map(without_conflicts),
    prefix=st.one_of(st.just(""), keys, keys.map(lambda key: f"{key}/")),
    after=st.one_of(st.just(""), keys),
    limit=st.none() | st.integers(0, 4),
)
def test_a_listing_is_the_sorted_keys(
    stored: set[str], prefix: str, after: str, limit: int | None
) -> None:
    """For any keys, a listing is what sorting all keys by their bytes and filtering gives."""
    with TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        for key in stored:
            path = Path(folder, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

        wanted = [
            key
            for key in sorted(stored, key=str.encode)
            if key.startswith(prefix) and key.encode() > after.encode()
        ]
        assert list(store.list(prefix, after=after, limit=limit)) == wanted[:limit]


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_failing_put_leaves_all_as_it_was(
    local_store: LocalStore, tmp_path: Path, if_absent: bool
) -> None:
    """When the disk refuses midway the old object is whole and nothing unfinished is left."""
    local_store.put("a", b"old")

    with (
        files_limited_to(2**20),
        pytest.raises(StoreError, match="Could not store 'a': File too large") as caught,
    ):
        local_store.put("a", bytes(2**21), if_absent=if_absent)

    assert caught.value.code == "store_unavailable"
    assert local_store.get("a") == b"old"
    assert unfinished(tmp_path / "store") == []


PUT_FOREVER = """
import sys
from pathlib import Path
from core.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
while True:
    for letter in (b"a", b"b"):
        store.put("x/y", letter * 5_000_000)
        print(letter, flush=True)
"""


def test_a_killed_put_leaves_a_whole_object(tmp_path: Path) -> None:
    """Whenever the process dies, a reader finds one version or the other, never half of one."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUT_FOREVER, str(tmp_path)], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)

    assert LocalStore(tmp_path).get("x/y") in (b"a" * 5_000_000, b"b" * 5_000_000)
    assert list(LocalStore(tmp_path).list("")) == ["x/y"]


def test_what_the_dead_left_is_swept(local_store: LocalStore, tmp_path: Path) -> None:
    """Unfinished files of yesterday go when a store opens; those of others at work stay."""
    local_store.check()
    dead, alive = (tmp_path / "store/.tmp" / name for name in ("dead", "alive"))
    dead.touch()
    alive.touch()
    yesterday = time.time() - 25 * 3600
    os.utime(dead, (yesterday, yesterday))

    LocalStore(tmp_path / "store")

    assert unfinished(tmp_path / "store") == [alive]


@pytest.mark.parametrize("key", ["link", "folder/secret"])
def test_links_lead_nowhere(local_store: LocalStore, tmp_path: Path, key: str) -> None:
    """A symbolic link in the store opens nothing outside it, for no call, and is not listed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    local_store.put("a", b"x")
    (tmp_path / "store/link").symlink_to(outside / "secret")
    (tmp_path / "store/folder").symlink_to(outside)

    for call in (
        local_store.get,
        local_store.info,
        local_store.delete,
        lambda key: local_store.put(key, b"changed"),
        lambda key: list(local_store.list(f"{key}/")),
    ):
        with pytest.raises(BadKey, match="symbolic link"):
            call(key)
    assert list(local_store.list("")) == ["a"]
    assert (outside / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("if_absent", [False, True])
@pytest.mark.parametrize(("there", "key"), [("a/b", "a"), ("a", "a/b")])
def test_a_key_is_an_object_or_a_folder(
    local_store: LocalStore, tmp_path: Path, there: str, key: str, if_absent: bool
) -> None:
    """What no folder can hold is refused in words, and what is there stays."""
    local_store.put(there, b"x")

    with pytest.raises(BadKey, match="an object and a folder at once"):
        local_store.put(key, b"y", if_absent=if_absent)
    assert local_store.get(there) == b"x"
    assert unfinished(tmp_path / "store") == []


def test_delete_leaves_no_empty_folders(local_store: LocalStore, tmp_path: Path) -> None:
    """Folders go with their last object; the store's own folder stays."""
    local_store.put("a/b/c/d", b"x")
    local_store.put("a/e", b"x")

    local_store.delete("a/b/c/d")
    assert [path.name for path in (tmp_path / "store/a").iterdir()] == ["e"]

    local_store.delete("a/e")
    assert [path.name for path in (tmp_path / "store").iterdir()] == [".tmp"]


def test_files_of_others_are_not_objects(local_store: LocalStore, tmp_path: Path) -> None:
    """A file whose name cannot be a key, dropped in by hand, is passed over."""
    local_store.put("a", b"x")
    (tmp_path / "store" / "back\\slash").touch()
    (tmp_path / "store" / os.fsdecode(b"not-utf8-\xff")).touch()

    assert list(local_store.list("")) == ["a"]


def test_there_are_no_urls(local_store: LocalStore) -> None:
    """A folder has no address: the API streams instead."""
    local_store.put("a", b"x")

    assert local_store.presigned_url("a", filename="a", seconds=60) is None


def test_the_check_finds_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """A store pointed at a file is not ready, and the error names the setting."""
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StoreError, match=r"Let store\.path name a folder"):
            LocalStore(path).check()
