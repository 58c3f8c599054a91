"""Signed URLs are the gate's own leave to write: no header that was not signed may stretch it."""

from base64 import b64encode
from hashlib import sha256
from uuid import uuid4

import httpx2
import pytest

from core.store import layout
from core.store.s3 import S3Store
from tests.servers import SeaweedServer

SECRET = b'{"secret": 1}'
BYTES = b"1234567"


@pytest.fixture
def store(seaweed: SeaweedServer) -> S3Store:
    made = S3Store(seaweed.settings(prefix=uuid4().hex))
    made.put(layout.access_key("0123456789ab"), SECRET)
    return made


def key(name: str = "adapter_config.json") -> str:
    return layout.upload_file("evil", "7ybqgxg0b8xfw8hwe96rv2832a", name)


@pytest.mark.parametrize("named", [None, sha256(BYTES).hexdigest()])
@pytest.mark.parametrize(
    "more",
    [
        {"x-amz-copy-source": "/{place}"},
        {"x-amz-copy-source": "{place}", "x-amz-metadata-directive": "REPLACE"},
        {"x-amz-acl": "public-read"},
        {"x-amz-tagging": "keep=for-ever"},
        {"x-amz-website-redirect-location": "https://elsewhere.example/"},
        {"x-amz-object-lock-mode": "COMPLIANCE"},
    ],
)
def test_unsigned_headers_are_refused(
    store: S3Store, seaweed: SeaweedServer, named: str | None, more: dict[str, str]
) -> None:
    """A put that copies another object of the bucket, a key's record or another tenant's adapter,
    to where its sender may have it judged and handed out; or that gives its own object rights."""
    place = f"{seaweed.bucket}/{store._place(layout.access_key('0123456789ab'))}"
    signed = store.direct.put(key(), size=len(BYTES), sha256=named, seconds=60)
    sent = {name: text.format(place=place) for name, text in more.items()}
    answer = httpx2.put(signed.url, content=BYTES, headers={**signed.headers, **sent})
    assert answer.status_code == 403
    assert store.info(key()) is None


def test_a_part_is_no_copy_either(store: S3Store, seaweed: SeaweedServer) -> None:
    """UploadPartCopy is the same request with one header more."""
    place = f"{seaweed.bucket}/{store._place(layout.access_key('0123456789ab'))}"
    upload = store.direct.begin(key())
    url = store.direct.part_url(key(), upload, 1, size=len(BYTES), seconds=60)
    answer = httpx2.put(url, content=BYTES, headers={"x-amz-copy-source": f"/{place}"})
    assert answer.status_code == 403
    assert store.direct.parts(key(), upload) == {}


def test_a_url_is_for_its_bytes_its_place_and_its_method(store: S3Store) -> None:
    """Another size, other bytes than announced, another key, another call."""
    signed = store.direct.put(key(), size=len(BYTES), sha256=sha256(BYTES).hexdigest(), seconds=60)
    other = {"x-amz-checksum-sha256": b64encode(sha256(b"7654321").digest()).decode()}
    elsewhere = signed.url.replace("evil", "good")
    tries = [
        httpx2.put(signed.url, content=BYTES + b"8", headers=signed.headers),
        httpx2.put(signed.url, content=b"7654321", headers=signed.headers),
        httpx2.put(signed.url, content=b"7654321", headers=other),
        httpx2.put(elsewhere, content=BYTES, headers=signed.headers),
        httpx2.put(f"{signed.url}&acl=", content=BYTES, headers=signed.headers),
        httpx2.get(signed.url),
        httpx2.delete(signed.url),
    ]
    assert {answer.status_code for answer in tries} <= {400, 403}
    assert store.info(key()) is None
    assert httpx2.put(signed.url, content=BYTES, headers=signed.headers).is_success
    assert store.get(key()) == BYTES
