"""Adapters in S3 are read only from where the operator allows, and only as they were pinned."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from core.archives import MAX_MEMBERS
from core.errors import Forbidden, StoreError, TooLarge, Unprocessable
from core.jobs import InputFile
from core.settings import LimitSettings, Settings, SourceSettings, TenantSettings
from core.sources import ARCHIVE_NAME, S3Sources, parse_s3_uri
from core.store.s3 import S3Store
from core.store.settings import S3Access, StoreSettings
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer

TENANT = "acme"
MODEL, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def folder() -> str:
    return uuid4().hex


@pytest.fixture
def theirs(seaweed: SeaweedServer, folder: str) -> Iterator[S3Store]:
    """An adapter in another bucket."""
    store = foreign_bucket(seaweed, folder)
    store.put(f"a/{MODEL}", b"weights")
    store.put(f"a/{CONFIG}", b"{}")
    store.put("x.tar.gz", b"archive")
    yield store
    store.close()


@pytest.fixture
def sources(seaweed: SeaweedServer, folder: str) -> Iterator[S3Sources]:
    """Only this test's folder is allowed."""
    opened = S3Sources(_settings(seaweed, f"s3://{BUCKET}/{folder}"))
    yield opened
    opened.close()


def _settings(seaweed: SeaweedServer, *allow: str, **limits: int) -> Settings:
    return Settings(
        sources=SourceSettings(s3_allow=list(allow), s3=access(seaweed)),
        limits=LimitSettings(**limits),
    )


def code_of(sources: S3Sources, uri: str) -> str:
    with pytest.raises((Forbidden, Unprocessable, TooLarge)) as caught:
        sources.pin(uri, TENANT)
    return caught.value.code


def test_folder_is_pinned_file_by_file(theirs: S3Store, sources: S3Sources, folder: str) -> None:
    """The adapter's files come with size, URI and ETag; what lies beside them by name."""
    theirs.put("a/README.md", b"hello")
    pinned = sources.pin(f"s3://{BUCKET}/{folder}/a/", TENANT)
    assert {file.name: file.size for file in pinned.files} == {MODEL: 7, CONFIG: 2}
    assert all(file.uri == f"s3://{BUCKET}/{folder}/a/{file.name}" for file in pinned.files)
    assert all(file.etag and file.key is None and file.sha256 is None for file in pinned.files)
    assert pinned.other_names == ["README.md"]


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.zst", "x.tzst"])
def test_archive_is_one_file(name: str, theirs: S3Store, sources: S3Sources, folder: str) -> None:
    """An archive is pinned whole, under a name that is no file of an adapter."""
    theirs.put(name, b"archive")
    pinned = sources.pin(f"s3://{BUCKET}/{folder}/{name}", TENANT)
    assert [file.name for file in pinned.files] == [ARCHIVE_NAME]
    assert pinned.other_names == []


@pytest.mark.usefixtures("theirs")
def test_pinned_version_is_read_and_hashed(sources: S3Sources, folder: str, tmp_path: Path) -> None:
    """What was pinned is what is read."""
    pinned = sources.pin(f"s3://{BUCKET}/{folder}/a/", TENANT)
    model = next(file for file in pinned.files if file.name == MODEL)
    assert sources.fetch(model, tmp_path / "copy", TENANT) == hashlib.sha256(b"weights").hexdigest()
    assert (tmp_path / "copy").read_bytes() == b"weights"


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_changed_source_is_not_read(
    change: str, theirs: S3Store, sources: S3Sources, folder: str, tmp_path: Path
) -> None:
    """Another version than the one accepted is refused, with what to do."""
    [archive] = sources.pin(f"s3://{BUCKET}/{folder}/x.tar.gz", TENANT).files
    if change == "replaced":
        theirs.put("x.tar.gz", b"ARCHIVE")
    else:
        theirs.delete("x.tar.gz")
    with pytest.raises(Unprocessable, match="post the job again") as caught:
        sources.fetch(archive, tmp_path / "copy", TENANT)
    assert caught.value.code == "source_changed"
    assert not (tmp_path / "copy").exists()


def test_nothing_is_allowed_until_it_is(seaweed: SeaweedServer) -> None:
    """An empty list means off."""
    assert code_of(S3Sources(_settings(seaweed)), f"s3://{BUCKET}/a/") == "source_not_allowed"


@pytest.mark.parametrize(
    ("entry", "uri"),
    [
        ("s3://adapters/team/", "s3://adapters/teammate/a/"),
        ("s3://adapters/team", "s3://adapters/teammate/a/"),
        ("s3://adapters/team/", "s3://adapters/a/"),
        ("s3://adapters/", "s3://adapters2/a/"),
        ("s3://adapters", "s3://adapters2/a/"),
        ("s3://adapters/team/a/", "s3://adapters/team/"),
    ],
)
def test_only_what_lies_under_an_entry_is_allowed(
    entry: str, uri: str, seaweed: SeaweedServer
) -> None:
    """Buckets match exactly, prefixes at a slash."""
    assert code_of(S3Sources(_settings(seaweed, entry)), uri) == "source_not_allowed"


def test_own_store_is_always_refused(seaweed: SeaweedServer) -> None:
    """Even where the operator allows it: other tenants' results lie there."""
    own = seaweed.settings()
    settings = _settings(seaweed, f"s3://{own.bucket}/").model_copy(
        update={"store": StoreSettings(kind="s3", s3=own)}
    )
    assert code_of(S3Sources(settings), f"s3://{own.bucket}/a/") == "source_not_allowed"


def test_fetch_is_held_to_the_list_too(sources: S3Sources, tmp_path: Path) -> None:
    """A job accepted before the list was narrowed is not served after."""
    file = InputFile(name=MODEL, size=1, uri=f"s3://{BUCKET}/elsewhere/{MODEL}", etag="x")
    with pytest.raises(Forbidden):
        sources.fetch(file, tmp_path / "copy", TENANT)


def test_a_tenants_name_stands_in_for_its_folder(
    theirs: S3Store, seaweed: SeaweedServer, folder: str
) -> None:
    """One entry for all, and each reads only what is its own."""
    theirs.put(f"acme/{MODEL}", b"weights")
    theirs.put(f"acme-2/{MODEL}", b"weights")
    sources = S3Sources(_settings(seaweed, f"s3://{BUCKET}/{folder}/{{tenant}}"))
    assert sources.pin(f"s3://{BUCKET}/{folder}/acme/", "acme").files
    for other in ("acme-2", "a", "acme/", "{tenant}"):
        with pytest.raises((Forbidden, Unprocessable)):
            sources.pin(f"s3://{BUCKET}/{folder}/{other}/", "acme")


@pytest.mark.usefixtures("theirs")
def test_a_tenants_own_list_replaces_the_general_one(
    seaweed: SeaweedServer, folder: str, tmp_path: Path
) -> None:
    """For pinning and for reading; an empty one is none at all."""
    general, here = f"s3://{BUCKET}/elsewhere/", f"s3://{BUCKET}/{folder}/"
    settings = _settings(seaweed, general).model_copy(
        update={
            "tenants": {
                "acme": TenantSettings(sources=[here]),
                "none": TenantSettings(sources=[]),
                "all": TenantSettings(),
            }
        }
    )
    sources = S3Sources(settings)
    pinned = sources.pin(f"{here}a/", "acme")
    assert sources.fetch(pinned.files[0], tmp_path / "copy", "acme")
    for tenant in ("none", "all", "other"):
        with pytest.raises(Forbidden):
            sources.pin(f"{here}a/", tenant)
        with pytest.raises(Forbidden):
            sources.fetch(pinned.files[0], tmp_path / "copy", tenant)


def test_a_tenants_own_limit_holds_for_sources(
    theirs: S3Store, seaweed: SeaweedServer, folder: str
) -> None:
    """As for what it uploads; it is never above that of all."""
    theirs.put(f"b/{MODEL}", bytes(100))
    settings = _settings(seaweed, f"s3://{BUCKET}/", upload=150).model_copy(
        update={
            "tenants": {"acme": TenantSettings(upload=99), "other": TenantSettings(upload=10**9)}
        }
    )
    uri = f"s3://{BUCKET}/{folder}/b/"
    assert S3Sources(settings).pin(uri, "nobody").files
    with pytest.raises(TooLarge):
        S3Sources(settings).pin(uri, "acme")
    theirs.put(f"b/{MODEL}", bytes(151))
    with pytest.raises(TooLarge):
        S3Sources(settings).pin(uri, "other")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://adapters",
        "s3://adapters/",
        "s3://Adapters/a/",
        "s3://a/b/",
        "http://adapters/a/",
        "s3://adapters/../secret/",
        "s3://adapters/a/../../secret/",
        "s3://adapters/a//b/",
        "s3://adapters//a/",
        "s3://adapters/a\\b/",
        "s3://adapters/a\n/",
        "s3://adapters/adapter_model.safetensors",
        "s3://user:secret@adapters/a/",
        "s3://adapters/a/\ud800/",
        "",
    ],
)
def test_odd_uris_are_refused(uri: str) -> None:
    """Some stores resolve dots, so nothing but a plain folder or archive is taken."""
    with pytest.raises(Unprocessable) as caught:
        parse_s3_uri(uri)
    assert caught.value.code == "source_invalid"


@pytest.mark.parametrize("end", ["missing/", "missing.zip", "a.zip"])
def test_nothing_there_is_said_so(
    end: str, theirs: S3Store, sources: S3Sources, folder: str
) -> None:
    """A typo in the URI is the caller's to mend."""
    theirs.put("a.zip/x", b"")
    assert code_of(sources, f"s3://{BUCKET}/{folder}/{end}") == "source_not_found"


def test_missing_bucket_is_said_so(seaweed: SeaweedServer) -> None:
    """So is a typo in the bucket."""
    sources = S3Sources(_settings(seaweed, "s3://no-such-bucket/"))
    assert code_of(sources, "s3://no-such-bucket/a/") == "source_not_found"


@pytest.mark.parametrize("keys", [["deeper/x"], [f"f{n}" for n in range(MAX_MEMBERS)]])
def test_folder_is_flat_and_small(
    keys: list[str], theirs: S3Store, sources: S3Sources, folder: str
) -> None:
    """A prefix that holds a tree, or a crowd, is no adapter."""
    for key in keys:
        theirs.put(f"a/{key}", b"x")
    assert code_of(sources, f"s3://{BUCKET}/{folder}/a/") == "source_not_flat"


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("limits", [{"upload": 8}, {"config": 1}])
def test_sizes_are_capped(limits: dict[str, int], seaweed: SeaweedServer, folder: str) -> None:
    """As for an upload."""
    sources = S3Sources(_settings(seaweed, f"s3://{BUCKET}/", **limits))
    assert code_of(sources, f"s3://{BUCKET}/{folder}/a/") == "source_too_large"


def test_refused_credentials_are_the_operators_to_mend(seaweed: SeaweedServer) -> None:
    """Not ours, and no reason to try again for ever."""
    wrong = access(seaweed).model_copy(update={"access_key_id": "nobody"})
    settings = Settings(sources=SourceSettings(s3_allow=[f"s3://{BUCKET}/"], s3=wrong))
    assert code_of(S3Sources(settings), f"s3://{BUCKET}/a/") == "source_unreadable"


def test_silent_server_is_no_fault_of_the_request() -> None:
    """A 503: trying again may help."""
    nobody = S3Access(
        endpoint_url="http://127.0.0.1:9",
        max_attempts=1,
        access_key_id="x",
        secret_access_key=SecretStr("x"),
    )
    settings = Settings(sources=SourceSettings(s3_allow=[f"s3://{BUCKET}/"], s3=nobody))
    with pytest.raises(StoreError) as caught:
        S3Sources(settings).pin(f"s3://{BUCKET}/a/", TENANT)
    assert caught.value.code == "source_unavailable"
