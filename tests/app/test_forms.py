"""The multipart body: broken ones are refused, large ones arrive whole, none leaves a trace."""

import hashlib
import os
from pathlib import Path

import pytest

from core.settings import LimitSettings
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of, weights_of
from tests.archives import pack_zip

BOUNDARY = "frontier"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, data: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
WHOLE = part("adapter", WEIGHTS) + part("config", CONFIG) + END


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body_empty"),
        (b"no boundary at all", 400, "multipart_invalid"),
        (WHOLE[:-30], 400, "multipart_truncated"),
        (part("adapter", WEIGHTS), 400, "multipart_truncated"),
        (END, 422, "part_missing"),
        (part("adapter", WEIGHTS) + END, 422, "part_missing"),
        (part("config", CONFIG) + END, 422, "part_missing"),
        (part("adapter", b"") + part("config", CONFIG) + END, 422, "part_empty"),
        (part("adapter", WEIGHTS) + part("config", b"") + END, 422, "part_empty"),
        (part("archive", b"") + END, 422, "part_empty"),
        (part("archive", WEIGHTS) + WHOLE, 422, "part_conflict"),
        (part("adapter", WEIGHTS) + WHOLE, 422, "part_duplicate"),
        (part("alignment", b"a") * 2 + WHOLE, 422, "part_duplicate"),
        (part("weights", WEIGHTS) + WHOLE, 422, "part_unknown"),
        (part("../../etc/passwd", WEIGHTS) + WHOLE, 422, "part_unknown"),
        (part("alignment", b"\xff\xfe") + WHOLE, 422, "part_invalid"),
        (part("callback_url", b"https://x") + WHOLE, 403, "url_not_allowed"),
        (part("alignment", b"a" * 70_000) + WHOLE, 413, "part_too_large"),
        (part("metadata", b"a" * 20_000) + WHOLE, 413, "part_too_large"),
    ],
)
def test_broken_forms_are_refused(gate: Gate, body: bytes, status: int, code: str) -> None:
    """Each with a code of its own, and nothing left behind."""
    gate.register()
    response = gate.client.post("/v1/jobs", content=body, headers=FORM)
    assert (response.status_code, code_of(response)) == (status, code)
    assert list(gate.services.records.pending()) == []
    assert gate.scratch() == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_other_content_types_are_refused(gate: Gate, kind: str) -> None:
    """415 says which are taken."""
    response = gate.client.post("/v1/jobs", content=WHOLE, headers={"Content-Type": kind})
    assert (response.status_code, code_of(response)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 300}"])
def test_bad_boundary_is_refused(gate: Gate, boundary: str) -> None:
    """Without a boundary there are no parts."""
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    response = gate.client.post("/v1/jobs", content=WHOLE, headers=headers)
    assert (response.status_code, code_of(response)) == (400, "multipart_invalid")


def test_body_over_the_limit_is_refused(open_gate: OpenGate) -> None:
    """At once where its length is announced, else as soon as it is passed."""
    gate = open_gate(limits=LimitSettings(upload=1000))
    announced = gate.client.post("/v1/jobs", content=part("adapter", bytes(2000)), headers=FORM)
    assert (announced.status_code, code_of(announced)) == (413, "too_large")
    assert announced.json()["limit"] == 1000
    whole = part("adapter", weights_of("x" * 2000))
    pieces = (whole[start : start + 300] for start in range(0, len(whole), 300))
    streamed = gate.client.post("/v1/jobs", content=pieces, headers=FORM)
    assert (streamed.status_code, code_of(streamed)) == (413, "too_large")


def test_config_over_its_limit_is_refused(open_gate: OpenGate) -> None:
    """As a part, and inside an archive."""
    gate = open_gate(limits=LimitSettings(config=100))
    response = gate.post(config=bytes(101))
    assert (response.status_code, code_of(response)) == (413, "part_too_large")
    archive = pack_zip({ADAPTER_CONFIG: bytes(101)})
    response = gate.client.post("/v1/jobs", files={"archive": archive})
    assert (response.status_code, code_of(response)) == (413, "part_too_large")


def test_large_upload_arrives_whole(gate: Gate) -> None:
    """Blocks, boundaries and all: ten megabytes with boundaries' beginnings in them."""
    gate.register()
    weights = weights_of((os.urandom(500).hex() + f"\r\n--{BOUNDARY}-") * 10_000)
    body = part("adapter", weights) + part("config", CONFIG) + END
    pieces = (body[start : start + 65_521] for start in range(0, len(body), 65_521))
    response = gate.client.post("/v1/jobs", content=pieces, headers=FORM)
    assert response.status_code == 202
    [model] = [f for f in gate.request_of(response).files if f.name == ADAPTER_MODEL]
    assert model.sha256 == hashlib.sha256(weights).hexdigest()


def test_scratch_is_empty_after_a_success(gate: Gate) -> None:
    """Nothing of an upload stays on the API's disk."""
    gate.register()
    gate.post()
    assert gate.scratch() == []


def test_disk_that_refuses_is_our_fault(gate: Gate, tmp_path: Path) -> None:
    """503: the same request may be good later, and the path is nobody's business."""
    (tmp_path / "scratch").write_text("a file where a folder should be")
    archive = pack_zip({ADAPTER_CONFIG: b"{}"})  # which is unpacked there
    response = gate.client.post("/v1/jobs", files={"archive": archive})
    assert (response.status_code, code_of(response)) == (503, "scratch_unavailable")
    assert str(tmp_path) not in response.text


def test_scratch_folder_is_made(gate: Gate, tmp_path: Path) -> None:
    """A fresh machine has none."""
    assert not (tmp_path / "scratch").exists()
    archive = pack_zip({ADAPTER_CONFIG: CONFIG, ADAPTER_MODEL: WEIGHTS})
    gate.register()
    files, fields = {"archive": archive}, {"alignment": "base"}
    assert gate.client.post("/v1/jobs", files=files, data=fields).status_code == 202
