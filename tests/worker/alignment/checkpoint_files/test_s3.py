"""A checkpoint in S3 is read as its folder would be, one version of it, and range by range."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.errors import AlignmentError, GateError, StoreError
from core.s3_places import S3Places, S3Uri
from core.store.s3 import S3Store
from core.store.settings import S3Access, StoreSettings
from tests.buckets import BUCKET, access, foreign_bucket
from tests.core.store.faults import CuttingProxy, OddStore, running
from tests.counting import CountingProxy
from tests.servers import SeaweedServer
from worker.alignment.checkpoint_files import FolderFiles, s3
from worker.alignment.checkpoint_files.ahead import PIECE
from worker.alignment.checkpoint_files.s3 import S3Files

NAME = "model-00001-of-00001.safetensors"
MEGABYTE = 2**20
BIG = os.urandom(2 * PIECE + MEGABYTE + 12_345)  # stored in two parts: its ETag is no MD5
FILES = {"config.json": b'{"model_type": "llama"}', NAME: BIG, "README.md": b"# Hello"}
LOCAL = StoreSettings()
OpenFiles = Callable[..., S3Files]


@pytest.fixture(scope="module")
def folder() -> str:
    return uuid4().hex


@pytest.fixture(scope="module")
def theirs(
    seaweed: SeaweedServer, folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Store]:
    """The checkpoint in another bucket, with a folder beside its files."""
    big = tmp_path_factory.mktemp("theirs") / NAME
    big.write_bytes(BIG)
    with closing(foreign_bucket(seaweed, folder)) as store:
        for name, data in FILES.items():
            store.put(f"base/{name}", data) if name != NAME else store.put_file(f"base/{NAME}", big)
        store.put("base/original/params.json", b"{}")
        yield store


@pytest.fixture
def open_files(theirs: S3Store, seaweed: SeaweedServer, folder: str) -> Iterator[OpenFiles]:
    """Opens checkpoints of the bucket, over a wire if one is given, and closes them."""
    del theirs
    opened: list[S3Files] = []

    def opener(name: str = "base", url: str | None = None, **fields: object) -> S3Files:
        changes = {**fields, **({"endpoint_url": url} if url else {})}
        places = S3Places([], access(seaweed).model_copy(update=changes), LOCAL)
        opened.append(S3Files(S3Uri(BUCKET, f"{folder}/{name}/"), places))
        return opened[-1]

    yield opener
    for files in opened:
        files.close()


@pytest.fixture
def files(open_files: OpenFiles) -> S3Files:
    return open_files()


def port_of(seaweed: SeaweedServer) -> int:
    port = urlsplit(seaweed.endpoint_url).port
    assert port is not None
    return port


def test_files_are_those_of_a_folder(files: S3Files, tmp_path: Path) -> None:
    """Names and sizes; what lies deeper, or is no file of a checkpoint, is left out."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert files.sizes == FolderFiles(tmp_path).sizes
    files.check_unchanged()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bounds=st.tuples(st.integers(0, len(BIG)), st.none() | st.integers(0, len(BIG) + 9)))
def test_any_range_has_the_bytes_of_the_file(
    files: S3Files, bounds: tuple[int, int | None]
) -> None:
    """Over one connection or several."""
    start, end = bounds
    with files.open(NAME, start, end) as stream:
        assert stream.read() == BIG[start:end]


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_object_that_changed_is_not_mixed_in(
    change: str, theirs: S3Store, open_files: OpenFiles
) -> None:
    """Neither in a new range nor in one that is half read."""
    name = f"changing-{change}"
    old, new = os.urandom(6 * PIECE), os.urandom(6 * PIECE)
    theirs.put(f"{name}/{NAME}", old)
    files = open_files(name)
    with files.open(NAME) as half_read:
        got = half_read.read(PIECE)
        if change == "replaced":
            theirs.put(f"{name}/{NAME}", new)
        else:
            theirs.delete(f"{name}/{NAME}")
        theirs.put(f"{name}/config.json", b"{}")
        with pytest.raises(AlignmentError, match="register the pair again") as caught:
            while piece := half_read.read(PIECE):
                got += piece
    assert old.startswith(got)
    assert caught.value.code == "checkpoint_changed"
    with pytest.raises(AlignmentError) as caught, files.open(NAME, 0, 9) as stream:
        stream.read()
    assert caught.value.code == "checkpoint_changed"
    with pytest.raises(AlignmentError) as caught:
        files.check_unchanged()
    assert caught.value.code == "checkpoint_changed"
    assert open_files(name).version != files.version


@pytest.mark.parametrize("end", [MEGABYTE, len(BIG)], ids=["a piece", "several pieces"])
def test_dropped_connections_are_taken_up_again(
    end: int, open_files: OpenFiles, seaweed: SeaweedServer
) -> None:
    """The bytes are right, whichever connections break."""
    with running(CuttingProxy(port_of(seaweed), keep=300_000, cuts=3)) as wire:
        files = open_files(url=wire.url, addressing_style="path")
        with files.open(NAME, 5, end) as stream:
            assert stream.read() == BIG[5:end]
        assert wire.keep == []
        files.close()


@pytest.mark.parametrize("length", [3 * MEGABYTE, PIECE + 3 * MEGABYTE])
def test_only_the_range_is_sent(length: int, open_files: OpenFiles, seaweed: SeaweedServer) -> None:
    """Counted at the server: the range, and some headers."""
    with running(CountingProxy(port_of(seaweed))) as wire:
        files = open_files(url=wire.url, addressing_style="path")
        before = wire.answered
        with files.open(NAME, 1_000, 1_000 + length) as stream:
            while stream.read(MEGABYTE):
                pass
        files.close()
    assert length < wire.answered - before < 1.02 * length


class _Whole(BaseHTTPRequestHandler):
    """Ignores Range."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(100))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


def test_store_that_ignores_ranges_is_not_believed(seaweed: SeaweedServer) -> None:
    """Its first bytes are not those of the range."""
    with running(HTTPServer(("127.0.0.1", 0), _Whole)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        places = S3Places([], access(seaweed).model_copy(update={"endpoint_url": url}), LOCAL)
        with closing(places.open_bucket(BUCKET)) as store, pytest.raises(StoreError, match="part"):
            store.open_range("a", start=10, length=5, etag="x")


def of_odd(odd: OddStore, seaweed: SeaweedServer, **fields: object) -> S3Files:
    changes = {"endpoint_url": odd.url, "max_attempts": 2, **fields}
    places = S3Places([], access(seaweed).model_copy(update=changes), LOCAL)
    return S3Files(S3Uri(BUCKET, "a/"), places)


@pytest.mark.parametrize("fault", ["drips", "silent"])
def test_closing_ends_every_read_within_a_second(fault: str, seaweed: SeaweedServer) -> None:
    """Closing itself waits no longer, and closing again is nothing."""
    errors: list[BaseException] = []
    with running(OddStore(bytes(2 * PIECE))) as odd:
        files = of_odd(odd, seaweed, read_timeout=10.0)

        def reader() -> None:
            with pytest.raises(StoreError) as caught, files.open("x.json") as stream:
                stream.read()
            errors.append(caught.value)

        odd.drips = 1_000 if fault == "drips" else 0
        odd.silent = fault == "silent"
        readers = [threading.Thread(target=reader) for _ in range(3)]
        for thread in readers:
            thread.start()
        while odd.asked < 4:
            time.sleep(0.01)
        closer = threading.Thread(target=files.close)
        closer.start()
        for thread in readers:
            thread.join(1.0)
        assert not any(thread.is_alive() for thread in readers)
        closer.join(1.5)
        assert not closer.is_alive()
        left = [t for t in threading.enumerate() if t.name.startswith("read-ahead")]
        assert fault == "silent" or not left
        files.close()
        asked = odd.asked
    for thread in left:
        thread.join()
    assert len(errors) == len(readers)
    assert odd.asked == asked


@pytest.mark.parametrize(
    ("status", "code", "passes"),
    [
        (408, "RequestTimeout", True),
        (429, "TooManyRequests", True),
        (400, "ExpiredToken", True),
        (403, "RequestTimeTooSkewed", True),
        (503, "SlowDown", True),
        (403, "AccessDenied", False),
        (400, "InvalidRequest", False),
    ],
)
def test_refusal_is_told_from_what_may_pass(
    status: int, code: str, passes: bool, seaweed: SeaweedServer
) -> None:
    """With S3's own code, by which its owner finds the reason."""
    with running(OddStore(b"{}")) as odd:
        odd.refusal = (status, code)
        with pytest.raises(GateError, match=f"{status} {code}") as caught:
            of_odd(odd, seaweed)
    assert caught.value.code == ("source_unavailable" if passes else "source_unreadable")
    assert isinstance(caught.value, StoreError if passes else AlignmentError)


def test_store_without_etags_is_none_to_read_from(seaweed: SeaweedServer) -> None:
    """Nothing else tells two versions apart."""
    with running(OddStore(b"{}")) as odd:
        odd.etag = None
        with pytest.raises(StoreError, match="ETags"):
            of_odd(odd, seaweed)


def test_nothing_there_is_said_so(open_files: OpenFiles) -> None:
    """A typo in the prefix is the caller's to mend."""
    with pytest.raises(AlignmentError) as caught:
        open_files("missing")
    assert caught.value.code == "source_not_found"


def test_crowd_is_no_checkpoint(
    theirs: S3Store, open_files: OpenFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prefix that holds thousands of objects is refused; what lies deeper does not count."""
    monkeypatch.setattr(s3, "MAX_OBJECTS", 3)
    open_files()
    theirs.put("crowd/a", b"")
    for name in ("b", "c", "d"):
        theirs.put(f"crowd/{name}", b"")
    with pytest.raises(AlignmentError) as caught:
        open_files("crowd")
    assert caught.value.code == "source_not_flat"


def test_refused_credentials_are_the_operators_to_mend(open_files: OpenFiles) -> None:
    """No reason to try again."""
    with pytest.raises(AlignmentError) as caught:
        open_files(access_key_id="nobody")
    assert caught.value.code == "source_unreadable"


def test_silent_server_is_worth_another_attempt() -> None:
    """A `StoreError`, which the worker tries again."""
    nobody = S3Access(
        endpoint_url="http://127.0.0.1:9",
        max_attempts=1,
        access_key_id="x",
        secret_access_key=SecretStr("x"),
    )
    with pytest.raises(GateError) as caught:
        S3Files(S3Uri(BUCKET, "a/"), S3Places([], nobody, LOCAL))
    assert (type(caught.value), caught.value.code) == (StoreError, "source_unavailable")
    assert "Check SAFELORA_ALIGNMENTS__S3__ENDPOINT_URL" in caught.value.message
