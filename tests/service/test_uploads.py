"""Uploads that are sent ahead, and results that are brought away, with a real worker."""

import hashlib
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from core.destinations import MANIFEST
from core.store import layout, open_store
from core.store.s3 import S3Store
from tests.service.running import Running, golden_parts
from tests.service.test_service import download, files_in_store

NAMES = {"adapter": "adapter_model.safetensors", "config": "adapter_config.json"}


def golden_files() -> dict[str, bytes]:
    return {NAMES[part]: data for part, data in golden_parts().items()}


def send(service: Running, files: dict[str, bytes], **announced: str) -> str:
    """An upload with these files; what a job names as its source."""
    body = {"files": [{"name": n, "size": len(d), **announced} for n, d in files.items()]}
    upload = service.client.post("/v1/uploads", json=body).raise_for_status().json()
    for file in upload["files"]:
        put = file["put"]
        url = str(service.client.base_url.join(put["url"]))
        httpx2.put(
            url, content=files[file["name"]], headers=put["headers"], trust_env=False
        ).raise_for_status()
    source: str = upload["source"]
    return source


def order(service: Running, **body: Any) -> dict[str, Any]:
    return service.wait(service.client.post("/v1/jobs", json={"alignment": "tiny", **body}))


def test_an_upload_gives_the_same_result(service: Running) -> None:
    """As the same files sent with the job; who has the upload's URLs changes nothing."""
    job = order(service, source=send(service, golden_files()))
    assert job["state"] == "succeeded"
    whole = service.wait(service.post())
    assert download(service, job, NAMES["adapter"]) == download(service, whole, NAMES["adapter"])


def test_a_broken_upload_is_a_rejected_job(service: Running) -> None:
    """It did not come through the API, so the worker is the first to look."""
    published = files_in_store(service)
    files = {**golden_files(), NAMES["adapter"]: b"GGUF"}
    job = order(service, source=send(service, files))
    assert (job["state"], job["findings"][0]["code"]) == ("rejected", "gguf_file")
    assert files_in_store(service) == published


def test_the_worker_holds_an_upload_to_its_checksum(service: Running) -> None:
    """Where nothing before it did: what lies there was put anew behind everybody's back."""
    files = {NAMES["adapter"]: golden_files()[NAMES["adapter"]]}
    digest = hashlib.sha256(files[NAMES["adapter"]]).hexdigest()
    source = send(service, files, sha256=digest)
    store = open_store(service.store)
    key = layout.upload_file("default", source.removeprefix("upload:"), NAMES["adapter"])
    store.put(key, b"x" * len(files[NAMES["adapter"]]))
    store.close()
    job = order(service, source=source)
    assert (job["state"], job["error"]["code"]) == ("failed", "upload_checksum_mismatch")


def test_a_result_is_brought_to_its_destination(service: Running) -> None:
    """The adapter that can be downloaded, its report, and the manifest that says so."""
    if service.store.s3 is None:
        answer = service.post(destination="s3://results/default/a/")
        assert (answer.status_code, answer.json()["code"]) == (403, "destination_not_allowed")
        return
    settings = service.store.s3.model_copy(update={"bucket": "results", "prefix": ""})
    theirs = S3Store(settings)
    with suppress(theirs._client.exceptions.BucketAlreadyOwnedByYou):
        theirs._client.create_bucket(Bucket="results")
    job = service.wait(service.post(destination="s3://results/default/a/"))
    assert (job["state"], job["error"]) == ("succeeded", None)
    there = {key.rpartition("/")[2] for key in theirs.list("default/a/")}
    assert there == {*NAMES.values(), "report.json", "report.html", MANIFEST}
    weights = theirs.get(f"default/a/{NAMES['adapter']}")
    assert weights == download(service, job, NAMES["adapter"])
    again = service.wait(service.post(destination="s3://results/default/a/"))
    assert (again["state"], again["error"]["code"]) == ("failed", "destination_taken")
    theirs.close()


@pytest.mark.parametrize("destination", ["s3://results/acme/a/", "s3://results/default/../acme/"])
def test_others_destinations_are_refused(service: Running, destination: str) -> None:
    """At once, and no job is made."""
    before = service.client.get("/v1/jobs").json()
    answer = service.post(destination=destination)
    assert answer.json()["code"] in ("destination_not_allowed", "destination_invalid")
    assert service.client.get("/v1/jobs").json() == before
