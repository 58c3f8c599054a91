"""Posting an adapter that lies in S3: the JSON body."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from core.settings import SourceSettings
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from core.store.s3 import S3Store
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.archives import pack_zip
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer


@pytest.fixture
def folder() -> str:
    return uuid4().hex


@pytest.fixture
def theirs(seaweed: SeaweedServer, folder: str) -> Iterator[S3Store]:
    store = foreign_bucket(seaweed, folder)
    store.put(f"a/{ADAPTER_MODEL}", WEIGHTS)
    store.put(f"a/{ADAPTER_CONFIG}", CONFIG)
    store.put("a/README.md", b"hello")
    store.put("x.zip", pack_zip({ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}))
    yield store
    store.close()


@pytest.fixture
def gate(open_gate: OpenGate, seaweed: SeaweedServer, folder: str) -> Gate:
    allowed = [f"s3://{BUCKET}/{folder}/"]
    opened = open_gate(sources=SourceSettings(s3_allow=allowed, s3=access(seaweed)))
    opened.register()
    return opened


@pytest.mark.usefixtures("theirs")
def test_folder_is_pinned_and_not_copied(gate: Gate, folder: str) -> None:
    """The job holds URI and ETag of each file; the config that lies there finds the alignment."""
    uri = f"s3://{BUCKET}/{folder}/a/"
    response = gate.client.post("/v1/jobs", json={"source": uri, "metadata": {"run": "1"}})
    assert response.status_code == 202
    request = gate.request_of(response)
    assert {f.name: f.uri for f in request.files} == {
        ADAPTER_MODEL: f"{uri}{ADAPTER_MODEL}",
        ADAPTER_CONFIG: f"{uri}{ADAPTER_CONFIG}",
    }
    assert all(f.etag and f.key is None for f in request.files)
    assert (request.source, request.other_names) == (uri, ["README.md"])
    assert (response.json()["source"], response.json()["metadata"]) == (uri, {"run": "1"})
    assert gate.queued() == [request.id]


@pytest.mark.usefixtures("theirs")
def test_archive_needs_its_alignment_named(gate: Gate, folder: str) -> None:
    """It is opened by the worker, so its config is not known yet."""
    uri = f"s3://{BUCKET}/{folder}/x.zip"
    response = gate.client.post("/v1/jobs", json={"source": uri})
    assert (response.status_code, code_of(response)) == (422, "alignment_not_found")
    response = gate.client.post("/v1/jobs", json={"source": uri, "alignment": "base"})
    assert response.status_code == 202
    assert [f.name for f in gate.request_of(response).files] == ["archive"]


def test_same_key_is_the_same_job_though_the_source_changed(
    gate: Gate, theirs: S3Store, folder: str
) -> None:
    """The first answer pinned the version that was meant."""
    body = {"source": f"s3://{BUCKET}/{folder}/a/"}
    headers = {"Idempotency-Key": "k"}
    first = gate.client.post("/v1/jobs", json=body, headers=headers).json()["id"]
    theirs.put(f"a/{ADAPTER_MODEL}", b"other weights")
    again = gate.client.post("/v1/jobs", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ([], 422, "validation_failed"),
        ({"source": 3}, 422, "validation_failed"),
        ({"source": "s3://b/a/", "polcy": {}}, 422, "validation_failed"),
        ({"source": "s3://b/a/", "metadata": {"a": 1}}, 422, "validation_failed"),
        ({"source": "s3://b/a/", "policy": {"selection": {"threshold": 2}}}, 422, "policy_invalid"),
        ({"source": "upload:17"}, 404, "upload_not_found"),
        ({"source": "s3://b/a/", "callback_url": "https://x"}, 403, "url_not_allowed"),
        ({"source": "https://example.org/a.zip"}, 422, "source_invalid"),
        ({"source": "file:///etc/passwd"}, 422, "source_invalid"),
        ({"source": f"s3://{BUCKET}/elsewhere/"}, 403, "source_not_allowed"),
        ({"source": "s3://gate/tenants/"}, 403, "source_not_allowed"),
    ],
)
def test_broken_orders_are_refused(gate: Gate, body: Any, status: int, code: str) -> None:
    """Each with a code of its own, before anything is read."""
    response = gate.client.post("/v1/jobs", json=body)
    assert (response.status_code, code_of(response)) == (status, code)


@pytest.mark.parametrize("body", [b"", b"{", b'{"source": NaN}', b'{"source": 1, "source": 2}'])
def test_broken_json_is_refused(gate: Gate, body: bytes) -> None:
    """Strictly: no NaN, no key twice."""
    headers = {"Content-Type": "application/json"}
    response = gate.client.post("/v1/jobs", content=body, headers=headers)
    assert (response.status_code, code_of(response)) == (400, "json_invalid")


def test_huge_json_is_refused(gate: Gate) -> None:
    """An order is small."""
    response = gate.client.post("/v1/jobs", json={"source": "x" * 300_000})
    assert (response.status_code, code_of(response)) == (413, "too_large")


def test_sources_are_off_by_default(open_gate: OpenGate) -> None:
    """Until the operator allows a folder, nothing is fetched on a caller's word."""
    gate = open_gate()
    gate.register()
    response = gate.client.post("/v1/jobs", json={"source": "s3://adapters/a/"})
    assert (response.status_code, code_of(response)) == (403, "source_not_allowed")


@pytest.mark.usefixtures("theirs")
def test_policy_of_an_order_is_taken(gate: Gate, folder: str) -> None:
    """The same JSON as in a form, not wrapped in text."""
    uri = f"s3://{BUCKET}/{folder}/a/"
    policy = {"selection": {"mode": "threshold", "threshold": 0.9}}
    response = gate.client.post("/v1/jobs", json={"source": uri, "policy": policy})
    assert response.json()["policy"]["selection"]["threshold"] == 0.9
