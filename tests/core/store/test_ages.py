"""When what lies in a store was put, and what was begun and never finished."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from boto3.session import Session

from core.store import s3_uploads
from core.store.base import ObjectStore, Unfinished
from core.store.checks import BadKey
from core.store.local import LocalStore
from core.store.s3 import S3Store
from tests.core.store.test_store import FOLDER_BOUNDARIES
from tests.servers import SeaweedServer

SECOND = timedelta(seconds=1)  # what S3 rounds to


@pytest.fixture
def other_store(seaweed: SeaweedServer, boto3_session: Session) -> Iterator[S3Store]:
    """In another folder of the same bucket."""
    store = S3Store(seaweed.settings(prefix=uuid4().hex), session=boto3_session)
    yield store
    store.close()


def begin(store: S3Store, key: str) -> str:
    """A multipart upload with one part, as a killed process leaves it; its id."""
    client, bucket, place = store._client, store._bucket, store._place(key)
    upload = client.create_multipart_upload(Bucket=bucket, Key=place)["UploadId"]
    client.upload_part(Bucket=bucket, Key=place, UploadId=upload, PartNumber=1, Body=b"part")
    return upload


def test_entries_are_what_a_listing_names(store: ObjectStore) -> None:
    """The same keys in the same order, each with the size, the ETag and the time of a look-up."""
    for number, key in enumerate(FOLDER_BOUNDARIES):
        store.put(key, bytes(number))

    for prefix, after in (("", ""), ("a/", ""), ("a/", "a/b-c"), ("nothing/", "")):
        entries = list(store.entries(prefix, after=after))
        assert [entry.key for entry in entries] == list(store.list(prefix, after=after))
        for entry in entries:
            info = store.info(entry.key)
            assert (info, info and info.modified) == (entry, entry.modified)


def test_a_put_says_when(store: ObjectStore) -> None:
    """By the store's clock; another put of the same bytes makes the object young again."""
    store.put("a", b"same")
    first = store.info("a")
    assert first is not None
    assert first.modified is not None
    assert abs(datetime.now(UTC) - first.modified) < 5 * SECOND

    time.sleep(1.1)
    store.put("a", b"same")
    again = store.info("a")
    assert again is not None
    assert again.modified is not None
    assert again.modified >= first.modified + SECOND


@pytest.mark.parametrize("prefix", ["../", "a//b", "a\0"])
def test_a_hostile_prefix_is_refused(store: ObjectStore, prefix: str) -> None:
    """At once, as by `list`."""
    with pytest.raises(BadKey):
        store.entries(prefix)
    with pytest.raises(BadKey):
        list(store.unfinished(prefix))


def test_a_store_with_nothing_unfinished_says_so(store: ObjectStore) -> None:
    """A put that has ended is none, nor is an empty store."""
    assert list(store.unfinished("tenants/")) == []
    store.put("tenants/a", b"x")
    assert list(store.unfinished("tenants/")) == []


def test_giving_up_what_has_ended_is_no_error(store: ObjectStore) -> None:
    """Somebody else gave it up, or it was completed in the meantime."""
    store.put("tenants/a", b"x")
    store.give_up(Unfinished("tenants/a", uuid4().hex, datetime.now(UTC)))
    assert store.get("tenants/a") == b"x"


def test_an_unfinished_upload_is_found_and_given_up(s3_store: S3Store) -> None:
    """With its key, its id and when it was begun; afterwards its parts are gone."""
    upload = begin(s3_store, "tenants/a/big")
    [put] = s3_store.unfinished("tenants/")
    assert (put.key, put.id) == ("tenants/a/big", upload)
    assert abs(datetime.now(UTC) - put.begun) < 5 * SECOND

    s3_store.give_up(put)
    s3_store.give_up(put)

    assert list(s3_store.unfinished("tenants/")) == []
    with pytest.raises(s3_store._client.exceptions.ClientError, match="NoSuchUpload"):
        s3_store._client.list_parts(
            Bucket=s3_store._bucket, Key=s3_store._place(put.key), UploadId=put.id
        )


def test_uploads_of_others_are_not_named(s3_store: S3Store, other_store: S3Store) -> None:
    """Those of other folders of the bucket, or of other prefixes, are nobody's business here."""
    begin(other_store, "tenants/a")
    begin(s3_store, "alignments/a")
    mine = begin(s3_store, "tenants/a")
    assert [put.id for put in s3_store.unfinished("tenants/")] == [mine]


def test_all_pages_of_uploads_are_read(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several uploads of one key, too, that a page's end may part."""
    monkeypatch.setattr(s3_uploads, "_PAGE", 2)
    begun = [begin(s3_store, f"tenants/{key}") for key in "abbbcd"]
    assert sorted(put.id for put in s3_store.unfinished("tenants/")) == sorted(begun)


def test_a_local_store_names_what_the_dead_left(local_store: LocalStore, tmp_path: Path) -> None:
    """A temporary file, whose time is that of its last byte."""
    local_store.check()
    left = tmp_path / "store/.tmp/left"
    left.touch()
    os.utime(left, (1_000_000_000, 1_000_000_000))

    [put] = local_store.unfinished("tenants/")
    assert put.begun == datetime.fromtimestamp(1_000_000_000, UTC)
    local_store.give_up(put)
    assert not left.exists()


def test_only_temporaries_are_given_up(local_store: LocalStore) -> None:
    """No id leads out of the folder of temporaries."""
    local_store.put("a", b"x")
    local_store.check()
    with pytest.raises(BadKey):
        local_store.give_up(Unfinished("a", "../a", datetime.now(UTC)))
    assert local_store.get("a") == b"x"
