"""Uploads that are sent ahead of their job: to the store itself on S3, through the API else."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from httpx2 import Response

from app.access.callers import Caller
from app.intake import accept, uploading
from app.services import Services
from core.jobs import InputFile, ids_from
from core.settings import LimitSettings, RetentionSettings, TenantSettings
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of, weights_of
from tests.app.test_access import access, bearer, key
from tests.archives import pack_zip
from worker.expiry import ExpiryCounts, expire

FILES = {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}
Json = dict[str, Any]


def announced(files: dict[str, bytes], **fields: str) -> Json:
    return {"files": [{"name": n, "size": len(d), **fields} for n, d in files.items()]}


def announce(
    gate: Gate, files: dict[str, bytes] = FILES, *, headers: dict[str, str] | None = None
) -> Json:
    response = gate.client.post("/v1/uploads", json=announced(files), headers=headers)
    assert response.status_code == 201, response.text
    upload: Json = response.json()
    assert response.headers["Location"] == upload["links"]["self"]
    return upload


def put(gate: Gate, where: Json, data: bytes) -> int:
    """Send it as the upload says; the status."""
    if where["url"].startswith("/"):
        response = gate.client.put(where["url"], content=data, headers=where["headers"])
        return response.status_code
    sent = httpx2.put(where["url"], content=data, headers=where["headers"], trust_env=False)
    return sent.status_code


def send(gate: Gate, upload: Json, files: dict[str, bytes] = FILES) -> None:
    for file in upload["files"]:
        assert put(gate, file["put"], files[file["name"]]) == 200


def order(gate: Gate, upload: Json, **fields: Any) -> Response:
    return gate.client.post("/v1/jobs", json={"source": upload["source"], **fields})


def test_a_job_is_made_of_an_upload(any_gate: Gate) -> None:
    """The files become the job's own, and the config that was sent finds the alignment."""
    any_gate.register()
    upload = announce(any_gate)
    assert (upload["received"], upload["source"]) == (False, f"upload:{upload['id']}")
    send(any_gate, upload)
    seen = any_gate.client.get(upload["links"]["self"]).json()
    assert seen["received"]
    assert all(f["received"] and f["put"] is f["parts"] is None for f in seen["files"])
    response = order(any_gate, upload)
    assert response.status_code == 202
    request = any_gate.request_of(response)
    assert request.source == upload["source"]
    assert {f.name: any_gate.services.store.get(f.key or "") for f in request.files} == FILES
    for file in request.files:
        assert file.key == layout.job_input("default", request.id, file.name)
        assert (file.sha256, file.etag, file.uri) == (None, None, None)
    assert any_gate.queued() == [request.id]


def test_what_is_judged_cannot_change_after_the_answer(any_gate: Gate) -> None:
    """The URLs are still good, and whoever has them sends something else."""
    any_gate.register()
    upload = announce(any_gate)
    send(any_gate, upload)
    request = any_gate.request_of(order(any_gate, upload))
    other = weights_of("the weights of no adapter")
    assert len(other) == len(WEIGHTS)
    assert put(any_gate, upload["files"][0]["put"], other) == 200
    assert {f.name: any_gate.services.store.get(f.key or "") for f in request.files} == FILES
    assert any_gate.client.delete(upload["links"]["self"]).status_code == 204
    assert {f.name: any_gate.services.store.get(f.key or "") for f in request.files} == FILES


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("change", ["removed", "sent again"])
def test_what_changes_while_it_is_accepted_makes_no_job(
    any_gate: Gate, monkeypatch: pytest.MonkeyPatch, change: str, named: bool
) -> None:
    """Removed, expired for one, or sent anew, after it was seen to be there: the answer says so."""
    any_gate.register()
    upload = announce(any_gate)
    send(any_gate, upload)
    other = {name: bytes(len(data)) for name, data in FILES.items()}
    pinned = uploading.pinned_inputs

    def pinned_and_changed(services: Services, caller: Caller, source: str) -> list[InputFile]:
        found = pinned(services, caller, source)
        if change == "removed":
            any_gate.client.delete(upload["links"]["self"])
        else:
            send(any_gate, upload, other)
        return found

    monkeypatch.setattr(accept, "pinned_inputs", pinned_and_changed)
    response = order(any_gate, upload, **({"alignment": "base"} if named else {}))
    if change == "removed" or named:
        assert (response.status_code, code_of(response)) == (409, "upload_changed")
    else:
        assert code_of(response) == "alignment_not_found"  # by the config as it is by now
    assert any_gate.client.get("/v1/jobs").json()["jobs"] == []


def test_an_accepted_job_gets_no_bytes_of_the_same_request_sent_at_once(
    any_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One looks whether its key is taken; the other is accepted under it; the file is sent anew,
    and the first goes on: it is refused, and the job keeps what was there when it was accepted."""
    any_gate.register()
    upload = announce(any_gate)
    send(any_gate, upload)
    other = {ADAPTER_MODEL: weights_of("the weights of no adapter"), ADAPTER_CONFIG: CONFIG}
    pinned = uploading.pinned_inputs
    body, headers = {"source": upload["source"]}, {"Idempotency-Key": "k"}
    accepted: list[Response] = []

    def overtaken(services: Services, caller: Caller, source: str) -> list[InputFile]:
        monkeypatch.setattr(accept, "pinned_inputs", pinned)
        accepted.append(any_gate.client.post("/v1/jobs", json=body, headers=headers))
        send(any_gate, upload, other)
        return pinned(services, caller, source)

    monkeypatch.setattr(accept, "pinned_inputs", overtaken)
    late = any_gate.client.post("/v1/jobs", json=body, headers=headers)
    assert (late.status_code, code_of(late)) == (409, "upload_changed")
    request = any_gate.request_of(accepted[0])
    assert {f.name: any_gate.services.store.get(f.key or "") for f in request.files} == FILES
    assert any_gate.queued() == [request.id]


def test_an_archive_is_one_file(any_gate: Gate) -> None:
    """The worker opens it, so the alignment is named."""
    any_gate.register()
    files = {"archive.zip": pack_zip(FILES)}
    upload = announce(any_gate, files)
    send(any_gate, upload, files)
    response = order(any_gate, upload, alignment="base")
    assert response.status_code == 202
    [file] = any_gate.request_of(response).files
    assert file.name == "archive"
    assert any_gate.services.store.get(file.key or "") == files["archive.zip"]


def test_the_same_key_is_the_same_job(any_gate: Gate) -> None:
    """Though the upload is gone by then."""
    any_gate.register()
    upload = announce(any_gate)
    send(any_gate, upload)
    body, headers = {"source": upload["source"]}, {"Idempotency-Key": "k"}
    first = any_gate.client.post("/v1/jobs", json=body, headers=headers)
    any_gate.client.delete(upload["links"]["self"])
    again = any_gate.client.post("/v1/jobs", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


def test_what_is_not_all_there_makes_no_job(any_gate: Gate) -> None:
    """409 names what is missing, and nothing is kept."""
    any_gate.register()
    upload = announce(any_gate)
    assert put(any_gate, upload["files"][0]["put"], WEIGHTS) == 200
    for response in (
        order(any_gate, upload),
        any_gate.client.post(upload["links"]["complete"]),
    ):
        assert (response.status_code, code_of(response)) == (409, "upload_incomplete")
        assert response.json()["missing"] == [ADAPTER_CONFIG]
    assert list(any_gate.services.records.pending()) == []


@pytest.mark.parametrize("data", [WEIGHTS[:-1], WEIGHTS + b"x"])
def test_only_as_many_bytes_as_were_announced_are_taken(any_gate: Gate, data: bytes) -> None:
    """S3 refuses them by the signature, the API by counting."""
    upload = announce(any_gate)
    assert put(any_gate, upload["files"][0]["put"], data) in (403, 413, 422)
    seen = any_gate.client.get(upload["links"]["self"]).json()
    assert [file["received"] for file in seen["files"]] == [False, False]


def test_other_bytes_than_announced_are_refused_by_their_checksum(any_gate: Gate) -> None:
    """By the store itself, or while the API takes them."""
    body = announced({ADAPTER_MODEL: WEIGHTS}, sha256=hashlib.sha256(WEIGHTS).hexdigest())
    upload = any_gate.client.post("/v1/uploads", json=body).json()
    [file] = upload["files"]
    other = weights_of("the weights of no adapter")
    assert put(any_gate, file["put"], other) in (400, 422)
    assert not any_gate.client.get(upload["links"]["self"]).json()["received"]
    assert put(any_gate, file["put"], WEIGHTS) == 200
    any_gate.register()
    request = any_gate.request_of(order(any_gate, upload, alignment="base"))
    assert [f.expected_sha256 for f in request.files] == [file["sha256"]]


def test_a_large_file_is_sent_in_parts(s3_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order; what is there is told, and completing it once more is no error."""
    monkeypatch.setattr("app.intake.uploading.SENT_WHOLE", 5 * 2**20)
    s3_gate.register()
    files = {ADAPTER_MODEL: weights_of("0123456789" * 1_200_000), ADAPTER_CONFIG: CONFIG}
    upload = announce(s3_gate, files)
    model, config = upload["files"]
    assert (model["put"], [part["number"] for part in model["parts"]]) == (None, [1, 2, 3])
    assert sum(part["size"] for part in model["parts"]) == len(files[ADAPTER_MODEL])
    assert put(s3_gate, config["put"], CONFIG) == 200
    starts = {1: 0, 2: 5 * 2**20, 3: 10 * 2**20}
    for part in reversed(model["parts"]):
        early = s3_gate.client.post(upload["links"]["complete"])
        assert (early.status_code, code_of(early)) == (409, "upload_incomplete")
        start = starts[part["number"]]
        piece = files[ADAPTER_MODEL][start : start + part["size"]]
        assert put(s3_gate, {**part, "headers": {}}, piece + b"x") == 403
        assert put(s3_gate, {**part, "headers": {}}, piece) == 200
        seen = s3_gate.client.get(upload["links"]["self"]).json()["files"][0]
        received = [p["number"] for p in seen["parts"] if p["received"]]
        assert received == [n for n in (1, 2, 3) if n >= part["number"]]
    response = order(s3_gate, upload)
    assert (response.status_code, code_of(response)) == (409, "upload_incomplete")
    for _ in range(2):
        done = s3_gate.client.post(upload["links"]["complete"])
        assert (done.status_code, done.json()["received"]) == (200, True)
    request = s3_gate.request_of(order(s3_gate, upload))
    assert {f.name: s3_gate.services.store.get(f.key or "") for f in request.files} == files


def test_urls_are_of_the_address_that_callers_reach(open_gate: OpenGate, s3_gate: Gate) -> None:
    """Not of the one by which the gate reaches its store."""
    own = s3_gate.services.settings.store
    assert own.s3 is not None
    public = own.s3.model_copy(update={"public_endpoint_url": "https://files.example.org"})
    gate = open_gate(store=own.model_copy(update={"s3": public}))
    [first, _] = announce(gate)["files"]
    assert first["put"]["url"].startswith("https://files.example.org/")


def test_removing_it_leaves_nothing(any_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither objects nor parts."""
    monkeypatch.setattr("app.intake.uploading.SENT_WHOLE", len(CONFIG))
    upload = announce(any_gate)
    put(any_gate, upload["files"][1]["put"], CONFIG)
    assert any_gate.client.delete(upload["links"]["self"]).status_code == 204
    assert list(any_gate.services.store.list("tenants/")) == []
    assert list(any_gate.services.store.unfinished("tenants/")) == []
    gone = any_gate.client.get(upload["links"]["self"])
    assert (gone.status_code, code_of(gone)) == (404, "upload_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ([], 422, "validation_failed"),
        ({"files": []}, 422, "validation_failed"),
        ({"files": [{"name": ADAPTER_MODEL}]}, 422, "validation_failed"),
        ({"files": [{"name": ADAPTER_MODEL, "size": 0}]}, 422, "validation_failed"),
        ({"files": [{"name": ADAPTER_MODEL, "size": "9"}]}, 422, "validation_failed"),
        ({"files": [{"name": ADAPTER_MODEL, "size": 9, "sha256": "x"}]}, 422, "validation_failed"),
        ({"files": [{"name": "../x", "size": 9}]}, 422, "validation_failed"),
        ({"files": [{"name": "adapter_model.bin", "size": 9}]}, 422, "validation_failed"),
        ({"files": [{"name": "archive", "size": 9}]}, 422, "validation_failed"),
        ({"files": [{"name": "archive.zip/x", "size": 9}]}, 422, "validation_failed"),
        ({"files": [{"name": "archive.zip\n", "size": 9}]}, 422, "validation_failed"),
        ({"files": [{"name": ADAPTER_MODEL, "size": 9}] * 2}, 422, "upload_invalid"),
        (
            {"files": [{"name": n, "size": 9} for n in ("archive.zip", ADAPTER_CONFIG)]},
            422,
            "upload_invalid",
        ),
        ({"files": [{"name": ADAPTER_MODEL, "size": 5001}]}, 413, "upload_too_large"),
        ({"files": [{"name": ADAPTER_CONFIG, "size": 201}]}, 413, "upload_too_large"),
        (
            {"files": [{"name": n, "size": 2501} for n in (ADAPTER_MODEL, "adapters.safetensors")]},
            413,
            "upload_too_large",
        ),
    ],
)
def test_what_cannot_be_sent_is_not_announced(
    open_gate: OpenGate, body: Any, status: int, code: str
) -> None:
    """Sizes together are under the tenant's limit, names those of an adapter."""
    gate = open_gate(
        limits=LimitSettings(config=200), tenants={"default": TenantSettings(upload=5000)}
    )
    response = gate.client.post("/v1/uploads", json=body)
    assert (response.status_code, code_of(response)) == (status, code)
    assert list(gate.services.store.list("")) == []


Call = Callable[[Gate, Json], Response]
CALLS: list[Call] = [
    lambda gate, upload: gate.client.get(upload["links"]["self"], headers=bearer("two")),
    lambda gate, upload: gate.client.delete(upload["links"]["self"], headers=bearer("two")),
    lambda gate, upload: gate.client.post(upload["links"]["complete"], headers=bearer("two")),
    lambda gate, upload: gate.client.put(
        f"{upload['links']['self']}/files/{ADAPTER_MODEL}", content=WEIGHTS, headers=bearer("two")
    ),
    lambda gate, upload: gate.client.post(
        "/v1/jobs", json={"source": upload["source"]}, headers=bearer("two")
    ),
]


@pytest.mark.parametrize("call", CALLS)
def test_others_uploads_are_not_there(open_gate: OpenGate, call: Call) -> None:
    """404, whatever is asked of them."""
    gate = open_gate(access=access(key("one", "one", "jobs"), key("two", "two", "jobs")))
    upload = announce(gate, headers=bearer("one"))
    before = set(gate.services.store.list(""))
    response = call(gate, upload)
    assert (response.status_code, code_of(response)) == (404, "upload_not_found")
    assert set(gate.services.store.list("")) == before


@pytest.mark.parametrize("upload_id", ["17", "..", "%2e%2e%2fx", "0" * 26, "z" * 26, "é" * 26])
def test_odd_ids_never_reach_the_store(gate: Gate, upload_id: str) -> None:
    """They are no uploads."""
    for path in (f"/v1/uploads/{upload_id}", f"/v1/uploads/{upload_id}/complete"):
        response = gate.client.post(path) if "complete" in path else gate.client.get(path)
        assert response.status_code in (404, 405)
    response = gate.client.post("/v1/jobs", json={"source": f"upload:{upload_id}"})
    assert (response.status_code, code_of(response)) == (404, "upload_not_found")


def test_only_announced_files_are_taken(any_gate: Gate) -> None:
    """No other name becomes a key."""
    upload = announce(any_gate, {ADAPTER_MODEL: WEIGHTS})
    before = set(any_gate.services.store.list(""))
    for name in (ADAPTER_CONFIG, "upload.json", "..%2fupload.json"):
        url = f"{upload['links']['self']}/files/{name}"
        assert any_gate.client.put(url, content=CONFIG).status_code == 404
    assert set(any_gate.services.store.list("")) == before


def test_it_expires_whatever_came_of_it(any_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day after it was announced: record, files and parts; a young one stays, and a URL that is
    used late leaves nothing for long."""
    monkeypatch.setattr("app.intake.uploading.SENT_WHOLE", len(CONFIG))
    store, retention = any_gate.services.store, RetentionSettings()
    upload = announce(any_gate)
    put(any_gate, upload["files"][1]["put"], CONFIG)
    now = datetime.now(UTC)
    assert expire(store, retention, now + timedelta(hours=23)) == ExpiryCounts()
    later = now + timedelta(hours=25)
    in_parts = len(list(store.unfinished("tenants/")))
    assert expire(store, retention, later) == ExpiryCounts(sent_ahead=1, puts=in_parts)
    assert list(store.list("tenants/")) == []
    assert list(store.unfinished("tenants/")) == []
    store.put(layout.upload_file("default", upload["id"], ADAPTER_MODEL), b"late")
    assert expire(store, retention, later) == ExpiryCounts(sent_ahead=1)
    assert list(store.list("tenants/")) == []


def test_what_has_expired_is_not_there(gate: Gate) -> None:
    """Though nobody has deleted it yet: it could go at any moment."""
    upload = announce(gate)
    record = gate.services.records.upload("default", upload["id"])
    assert record is not None
    old = ids_from(int(time.time() * 1000) - 25 * 3_600_000) + upload["id"][10:]
    for name, data in FILES.items():
        gate.services.store.put(layout.upload_file("default", old, name), data)
    gate.services.records.save_upload(record.model_copy(update={"id": old}))
    response = gate.client.get(f"/v1/uploads/{old}")
    assert (response.status_code, code_of(response)) == (404, "upload_not_found")


def test_no_secret_is_told(s3_gate: Gate) -> None:
    """Neither in the record nor to the uploader."""
    settings = s3_gate.services.settings.store.s3
    assert settings is not None
    assert settings.secret_access_key is not None
    upload = announce(s3_gate)
    record = s3_gate.services.store.get(layout.upload_record("default", upload["id"]))
    for text in (json.dumps(upload), record.decode()):
        assert settings.secret_access_key.get_secret_value() not in text
    assert b"X-Amz-Signature" not in record
