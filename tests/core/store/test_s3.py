"""What the S3 store adds to the promises of every store, on a real server and on broken wires."""

import re
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

import pytest
from boto3.session import Session
from pydantic import SecretStr

from core import pace
from core.errors import StoreError
from core.store.base import ObjectChanged, ObjectExists
from core.store.s3 import S3Store
from core.store.settings import S3Settings
from tests.core.store.faults import CuttingProxy, OddStore, ScriptedStore, running
from tests.servers import SeaweedServer, free_ports

MEGABYTE = 2**20
CUTS_IN_A_PUT = {"before its bytes": 0, "before its answer": len("HTTP/1.1 100 Continue\r\n\r\n")}
OpenStore = Callable[[S3Settings], S3Store]


@pytest.fixture
def settings(seaweed: SeaweedServer, request: pytest.FixtureRequest) -> S3Settings:
    """A folder of the bucket named for the test, so that two stores can look into it."""
    return seaweed.settings(prefix=request.node.name.replace("[", "-").replace("]", ""))


@pytest.fixture
def open_s3(boto3_session: Session) -> Iterator[OpenStore]:
    """Opens stores and closes them when the test ends."""
    opened: list[S3Store] = []

    def opener(settings: S3Settings) -> S3Store:
        opened.append(S3Store(settings, session=boto3_session))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


def through(proxy: CuttingProxy | OddStore | ScriptedStore, settings: S3Settings) -> S3Settings:
    return settings.model_copy(update={"endpoint_url": proxy.url})


def presigned(store: S3Store, key: str, *, filename: str = "x.bin", seconds: int = 60) -> str:
    url = store.presigned_url(key, filename=filename, seconds=seconds)
    assert url is not None
    return url


def download(url: str) -> tuple[bytes, Message]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read(), answer.headers


def test_a_presigned_url_is_all_one_needs(s3_store: S3Store) -> None:
    """Whoever has the URL gets the object over plain HTTP, as a download under its filename."""
    s3_store.put("a/b c+%é", b"adapter")

    body, headers = download(presigned(s3_store, "a/b c+%é", filename="adapter.zip"))

    assert body == b"adapter"
    assert headers.get_content_disposition() == "attachment"
    assert headers.get_filename() == "adapter.zip"


@pytest.mark.parametrize(
    "filename", ['a"; filename="b.exe', "a\r\nSet-Cookie: x=y", "a/b\\c", "é 𝄞;%41", "a';b"]
)
def test_a_filename_cannot_break_out_of_its_header(s3_store: S3Store, filename: str) -> None:
    """Any filename arrives to the letter, and adds no header or parameter of its own."""
    s3_store.put("a", b"x")

    _, headers = download(presigned(s3_store, "a", filename=filename))

    assert headers["Set-Cookie"] is None
    disposition = re.fullmatch(
        r"""attachment; filename="[\w. -]*"; filename\*=UTF-8''([\w.~%-]*)""",
        headers["Content-Disposition"],
        re.ASCII,
    )
    assert disposition is not None
    assert unquote(disposition[1]) == filename


@pytest.mark.parametrize(
    ("part", "other"),
    [("/mine?", "/yours?"), ("x.bin", "x.exe"), ("Expires=60", "Expires=9999"), ("?", "?#")],
    ids=["key", "filename", "lifetime", "no signature"],
)
def test_a_changed_url_is_refused(s3_store: S3Store, part: str, other: str) -> None:
    """The signature covers the key, the filename and the lifetime."""
    s3_store.put("mine", b"x")
    s3_store.put("yours", b"x")
    url = presigned(s3_store, "mine")
    assert part in url

    with pytest.raises(HTTPError) as caught:
        download(url.replace(part, other))
    caught.value.close()
    assert caught.value.code == 403


def test_a_presigned_url_expires(s3_store: S3Store) -> None:
    """After its seconds the URL opens nothing."""
    s3_store.put("a", b"x")
    url = presigned(s3_store, "a", seconds=1)

    time.sleep(2.1)

    with pytest.raises(HTTPError) as caught:
        download(url)
    caught.value.close()
    assert caught.value.code == 403


def test_urls_are_signed_for_the_address_callers_reach(
    settings: S3Settings, open_s3: OpenStore
) -> None:
    """Behind a public endpoint, URLs carry its name and are good there."""
    public = f"http://localhost:{urlsplit(settings.endpoint_url or '').port}"
    store = open_s3(settings.model_copy(update={"public_endpoint_url": public}))
    store.put("a", b"adapter")

    url = presigned(store, "a")

    assert url.startswith(f"{public}/")
    assert download(url)[0] == b"adapter"


def test_a_prefix_is_a_world_of_its_own(settings: S3Settings, open_s3: OpenStore) -> None:
    """Two gates in one bucket see nothing of each other."""
    ours = open_s3(settings.model_copy(update={"prefix": "gate"}))
    theirs = open_s3(settings.model_copy(update={"prefix": "gate-2"}))
    ours.put("a", b"ours")
    theirs.put("b", b"theirs")

    assert list(ours.list("")) == ["a"]
    assert list(theirs.list("")) == ["b"]
    assert ours.info("b") is None


def test_folders_made_by_hand_are_not_objects(
    settings: S3Settings, open_s3: OpenStore, boto3_session: Session
) -> None:
    """The empty `folder/` that a web console leaves is not listed: no key ends in a slash."""
    store = open_s3(settings)
    store.put("folder/a", b"x")
    client = boto3_session.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=SeaweedServer.access_key_id,
        aws_secret_access_key=SeaweedServer.secret_access_key,
    )
    with closing(client):
        client.put_object(Bucket=settings.bucket, Key=f"{settings.prefix}/folder/", Body=b"")

    assert list(store.list("")) == ["folder/a"]


def test_boto3s_own_checksums_work_too(
    settings: S3Settings, open_s3: OpenStore, tmp_path: Path
) -> None:
    """`checksum: when_supported` changes nothing that a caller sees."""
    store = open_s3(settings.model_copy(update={"checksum": "when_supported"}))
    source = tmp_path / "source"
    source.write_bytes(bytes(20 * MEGABYTE))

    store.put("small", b"x")
    store.put_file("large", source)

    assert store.get("small") == b"x"
    assert store.get("large", start=19 * MEGABYTE) == bytes(MEGABYTE)


def test_reading_goes_on_where_the_connection_broke(
    settings: S3Settings, open_s3: OpenStore, tmp_path: Path
) -> None:
    """A download survives dropped connections, and every byte of it is right."""
    data = b"".join(number.to_bytes(4, "big") for number in range(MEGABYTE))
    open_s3(settings).put("a", data)

    with running(broken(settings, keep=MEGABYTE * 3 // 2, cuts=2)) as proxy:
        store = open_s3(through(proxy, settings))
        store.get_file("a", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data
        assert not proxy.keep, "both connections were to be cut"


def test_a_broken_range_ends_where_it_should(settings: S3Settings, open_s3: OpenStore) -> None:
    """A range that is taken up again does not run on to the end of the object."""
    data = bytes(range(256)) * (4 * MEGABYTE // 256)
    open_s3(settings).put("a", data)

    with running(broken(settings, keep=MEGABYTE * 3 // 2, cuts=1)) as proxy:
        store = open_s3(through(proxy, settings))
        assert store.get("a", start=5, length=2 * MEGABYTE) == data[5 : 5 + 2 * MEGABYTE]
        assert not proxy.keep, "the connection was to be cut"


def test_two_versions_never_mix(settings: S3Settings, open_s3: OpenStore) -> None:
    """If the object was replaced while the connection was down, reading fails."""
    direct = open_s3(settings)
    direct.put("a", b"1" * (4 * MEGABYTE))

    with running(broken(settings, keep=MEGABYTE * 3 // 2, cuts=1)) as proxy:
        store = open_s3(through(proxy, settings))
        with store.open("a") as stream:
            assert stream.read(MEGABYTE) == b"1" * MEGABYTE
            direct.put("a", b"2" * (4 * MEGABYTE))
            with pytest.raises(ObjectChanged):
                stream.read()


def test_reading_gives_up_in_the_end(
    settings: S3Settings, open_s3: OpenStore, tmp_path: Path
) -> None:
    """Connections that break again and again are an error in the end, and leave no file."""
    open_s3(settings).put("a", bytes(4 * MEGABYTE))

    with running(broken(settings, keep=MEGABYTE // 2, cuts=100)) as proxy:
        store = open_s3(through(proxy, settings))
        with pytest.raises(StoreError, match=r"Could not read 'a': .* does not answer"):
            store.get_file("a", tmp_path / "copy")
        assert len(proxy.keep) == 100 - settings.max_attempts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shown",
    [
        "bytes 9-18/100",
        "bytes 10-18/100",
        "bytes 10-20/100",
        "bytes 10-19/9",
        f"bytes 10-19/{'9' * 5_000}",
        "10-19",
        "",
    ],
    ids=["before", "too short", "too long", "past the end", "of no number", "no unit", "none"],
)
def test_another_range_is_not_taken_for_the_one_asked_for(
    settings: S3Settings, open_s3: OpenStore, shown: str
) -> None:
    """Whatever a store does with a range that it does not like, its bytes are not believed."""
    with running(OddStore(bytes(100))) as odd:
        store = open_s3(through(odd, settings))
        assert store.get("a", start=10, length=10) == bytes(10)
        assert store.get("a", start=0, length=100) == bytes(100)
        odd.content_range = shown or " "
        with pytest.raises(StoreError, match="another part"):
            store.get("a", start=10, length=10)


@pytest.mark.parametrize("etag", ["another", None])
def test_another_version_is_not_taken_for_the_one_asked_for(
    settings: S3Settings, open_s3: OpenStore, etag: str | None, tmp_path: Path
) -> None:
    """Some stores do not know If-Match, and send what they have."""
    with running(OddStore(bytes(100))) as odd:
        store = open_s3(through(odd, settings))
        odd.etag = etag
        with pytest.raises(ObjectChanged):
            store.open_range("a", start=10, length=10, etag="asked")
        with pytest.raises(ObjectChanged):
            store.get_file("a", tmp_path / "copy", etag="asked")


def test_a_connection_that_only_drips_counts_as_dropped(
    settings: S3Settings, open_s3: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may be better; when none is, that is an error in the end."""
    monkeypatch.setattr(pace, "WINDOW", 0.3)
    data = bytes(range(256))
    with running(OddStore(data)) as odd:
        store = open_s3(through(odd, settings))
        odd.drips = 2
        with store.open_range("a", start=0, length=256, etag="asked") as stream:
            assert stream.read() == data
        assert odd.asked == 3
        odd.drips = 100
        stream = store.open_range("a", start=0, length=256, etag="asked")
        with stream, pytest.raises(StoreError, match="does not answer"):
            stream.read()
        assert odd.asked == 3 + settings.max_attempts


@pytest.mark.parametrize("cut", CUTS_IN_A_PUT.values(), ids=CUTS_IN_A_PUT.keys())
def test_a_winner_knows_it_though_the_connection_broke(
    settings: S3Settings, open_s3: OpenStore, cut: int
) -> None:
    """boto3 repeats a put whose answer never came; finding our own object there is no defeat."""
    with running(broken(settings, keep=cut, cuts=1)) as proxy:
        won = open_s3(through(proxy, settings)).put("commit", b"mine", if_absent=True)
        assert not proxy.keep, "the connection was to be cut"

    assert open_s3(settings).info("commit") == won
    assert open_s3(settings).get("commit") == b"mine"


@pytest.mark.parametrize("cut", CUTS_IN_A_PUT.values(), ids=CUTS_IN_A_PUT.keys())
def test_a_loser_stays_one_though_the_connection_broke(
    settings: S3Settings, open_s3: OpenStore, cut: int
) -> None:
    """The same bytes from another writer are still another's."""
    open_s3(settings).put("commit", b"same", if_absent=True)

    with running(broken(settings, keep=cut, cuts=1)) as proxy:
        store = open_s3(through(proxy, settings))
        with pytest.raises(ObjectExists):
            store.put("commit", b"same", if_absent=True)


def test_a_put_that_breaks_off_leaves_nothing(settings: S3Settings, open_s3: OpenStore) -> None:
    """A writer that dies before its bytes are sent does not take the key with an empty object."""
    once = settings.model_copy(update={"max_attempts": 1})
    with running(broken(settings, keep=0, cuts=1)) as proxy:
        store = open_s3(through(proxy, once))
        with pytest.raises(StoreError, match="does not answer"):
            store.put("commit", b"mine", if_absent=True)
    time.sleep(0.5)  # for the server to be done with what it has

    assert open_s3(settings).info("commit") is None


def test_a_conflict_is_tried_again(settings: S3Settings, open_s3: OpenStore) -> None:
    """409 tells a conditional put that others are at it too, not that it lost."""
    answers = [(409, "ConditionalRequestConflict"), (409, "OperationAborted"), (200, "")]
    with running(ScriptedStore(*answers)) as scripted:
        store = open_s3(through(scripted, settings))
        assert store.put("a", b"x", if_absent=True).etag == "scripted"


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AccessDenied", "Allow these credentials"),
        (403, "InvalidAccessKeyId", "access_key_id"),
        (403, "SignatureDoesNotMatch", "secret_access_key"),
        (403, "RequestTimeTooSkewed", "clock"),
        (404, "NoSuchBucket", "store.s3.bucket"),
        (503, "SlowDown", "overloaded"),
        (507, "Strange", "log"),
    ],
)
def test_a_refusal_says_what_to_check(
    settings: S3Settings, open_s3: OpenStore, status: int, code: str, advice: str
) -> None:
    """The message names the operation, the key, the answer and the setting to look at."""
    with running(ScriptedStore((status, code))) as scripted:
        store = open_s3(through(scripted, settings.model_copy(update={"max_attempts": 1})))
        with pytest.raises(
            StoreError, match=f"Could not store 'a/b': .* {status} {code}"
        ) as caught:
            store.put("a/b", b"x")
    assert advice in caught.value.message
    assert caught.value.code == "store_unavailable"


def test_a_failed_upload_says_as_much(
    settings: S3Settings, open_s3: OpenStore, tmp_path: Path
) -> None:
    """What goes wrong in an upload is told as for any other call."""
    (tmp_path / "source").write_bytes(b"x")
    store = open_s3(settings.model_copy(update={"bucket": "nobody-made-this"}))

    with pytest.raises(StoreError, match=r"Could not store 'a': .* 404 NoSuchBucket. Create"):
        store.put_file("a", tmp_path / "source")


def test_the_check_finds_a_missing_bucket(settings: S3Settings, open_s3: OpenStore) -> None:
    """A gate whose bucket was never made is not ready, and says so."""
    store = open_s3(settings.model_copy(update={"bucket": "nobody-made-this"}))

    with pytest.raises(StoreError, match=r"404 NoSuchBucket\. Create the bucket"):
        store.check()


def test_the_check_finds_a_dead_store(settings: S3Settings, open_s3: OpenStore) -> None:
    """Where nobody listens the error names the setting to look at."""
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = open_s3(settings.model_copy(update={"endpoint_url": nowhere, "max_attempts": 1}))

    with pytest.raises(StoreError, match=r"does not answer. Check store\.s3\.endpoint_url"):
        store.check()


def test_no_error_tells_a_secret(settings: S3Settings, open_s3: OpenStore) -> None:
    """Neither the message nor the traceback that a log keeps holds the secret key."""
    wrong = SecretStr("not-the-right-secret")
    store = open_s3(settings.model_copy(update={"secret_access_key": wrong}))

    with pytest.raises(StoreError, match="403 SignatureDoesNotMatch") as caught:
        store.put("a", b"x")

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.details)
    assert wrong.get_secret_value() not in told
    assert SeaweedServer.access_key_id not in told


def broken(settings: S3Settings, *, keep: int, cuts: int) -> CuttingProxy:
    port = urlsplit(settings.endpoint_url or "").port
    assert port is not None
    return CuttingProxy(port, keep=keep, cuts=cuts)
