"""A gate for tests: the app over a real store and a real Redis, and a hand to play the worker."""

import json
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from httpx2 import Response
from starlette.testclient import TestClient

from app.services import Services
from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest, ModuleEntry
from core.archives.pack import Packed, zip_chunks
from core.findings import finding
from core.jobs import (
    Commit,
    JobRequest,
    JobResult,
    JobState,
    now,
    recipe_digest,
)
from core.records import Records
from core.report import FileFacts, Summary, Verdict
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL

BASE_NAME = "acme/base-1b"


def weights_of(text: str) -> bytes:
    """A safetensors file of one tensor that holds this text: other texts make other adapters."""
    body = text.encode() + b" " * (len(text.encode()) % 2)
    entry = {"dtype": "F16", "shape": [len(body) // 2], "data_offsets": [0, len(body)]}
    header = json.dumps({"a.lora_A.weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header + body


WEIGHTS = weights_of("the weights of an adapter")
CONFIG = json.dumps({"base_model_name_or_path": BASE_NAME, "r": 8}).encode()
SANITIZED = {ADAPTER_MODEL: b"sanitized weights", ADAPTER_CONFIG: b'{"r": 8}'}
REPORT = {"report.json": b'{"verdict": "projected"}\n', "report.html": b"<!doctype html><p>report"}


@dataclass(frozen=True)
class Gate:
    """A client on the gate, and the gate's own parts."""

    client: TestClient
    services: Services

    def post(self, *, config: bytes = CONFIG, weights: bytes = WEIGHTS, **fields: str) -> Response:
        """An adapter, uploaded as two files."""
        key = fields.pop("idempotency_key", None)
        return self.client.post(
            "/v1/jobs",
            files={"adapter": weights, "config": config},
            data=fields,
            headers={"Idempotency-Key": key} if key else {},
        )

    def request_of(self, response: Response, tenant: str = "default") -> JobRequest:
        request = self.services.records.request(tenant, response.json()["id"])
        assert request is not None
        return request

    def scratch(self) -> list[Path]:
        """What lies on the API's disk just now."""
        found = self.services.settings.scratch.glob("process-*/*")
        return sorted(path for path in found if path.name != ".lock")

    def queued(self) -> list[str]:
        return list(self.services.queue.rq.job_ids)

    def register(self, name: str = "base", **fields: Any) -> AlignmentRecord:
        """A ready alignment with its manifest, as a worker would leave it."""
        return leave_alignment(self.services.records, name, **fields)

    def finish(
        self,
        request: JobRequest,
        verdict: Verdict = "projected",
        *,
        archive: bool = False,
        report: bytes = REPORT["report.json"],
        attestation: bytes | None = None,
    ) -> JobResult:
        """The job's result, as a worker would leave it."""
        others = {} if attestation is None else {layout.ATTESTATION: attestation}
        commit = self._commit(request, verdict, others, archive=archive, report=report)
        result = JobResult(
            state=commit.state,
            started_at=now(),
            finished_at=now(),
            recipe=commit.recipe,
            commit=commit,
            timings={"total": 0.5},
        )
        return self.services.records.finish(request.tenant, request.id, result)

    def _commit(
        self,
        request: JobRequest,
        verdict: Verdict,
        others: dict[str, bytes],
        *,
        archive: bool,
        report: bytes,
    ) -> Commit:
        digests = {file.name: file.sha256 or "" for file in request.files}
        recipe = recipe_digest(
            digests,
            request.alignment,
            request.policy,
            below_floor=request.below_floor,
            other_names=request.other_names,
        )
        files = {**REPORT, **others, "report.json": report}
        if verdict in ("projected", "unchanged"):
            files |= SANITIZED
        if archive:
            members = [Packed(n, len(d), BytesIO(d)) for n, d in sorted(SANITIZED.items())]
            files[layout.ADAPTER_ARCHIVE] = b"".join(zip_chunks(members))
        for name, data in files.items():
            self.services.store.put(layout.output(request.tenant, recipe, "out", name), data)
        commit = Commit(
            recipe=recipe,
            state=JobState.REJECTED if verdict == "rejected" else JobState.SUCCEEDED,
            verdict=verdict,
            output="out",
            files=[FileFacts(name=n, size=len(d), sha256="0" * 64) for n, d in files.items()],
            summary=Summary(modules=2, projected=1),
            findings=[finding("non_finite", "tensor", "a.lora_A.weight")]
            if verdict == "rejected"
            else [],
            job=request.id,
        )
        return self.services.records.commit(request.tenant, commit)


def leave_alignment(records: Records, name: str = "base", **fields: Any) -> AlignmentRecord:
    """A ready alignment with its manifest, as a worker would leave it."""
    losses = fields.pop("storage_loss", 0.0)
    manifest = _manifest(losses)
    record = AlignmentRecord(
        **{
            "name": name,
            "state": "ready",
            "base": "/models/base",
            "aligned": "/models/aligned",
            "base_names": [BASE_NAME],
            "id": manifest.id,
            "created_at": now(),
            **fields,
        }
    )
    records.store.put(layout.alignment(manifest.id, MANIFEST_FILE), manifest.as_bytes())
    records.save_alignment(record)
    return record


def _manifest(storage_loss: float) -> Manifest:
    entry = ModuleEntry(
        name="layers.0.q_proj",
        out_features=8,
        in_features=8,
        dtype="BF16" if storage_loss else "F32",
        norm=2.0,
        aligned_norm=4.0,
        sigma=[1.0, 0.5],
        baseline=0.1,
        baseline_error=0.0,
        spectrum_error=0.0,
        storage_loss=storage_loss,
        conv1d=False,
        shard=f"{0:064x}.safetensors",
        spectrum_shard=f"{1:064x}.safetensors",
    )
    return Manifest(
        id=uuid4().hex, model_type="llama", rank=2, modules=[entry], left_out={}, weights={}
    )


def code_of(response: Response) -> str:
    """The problem's code, its form checked on the way."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:safelora-gate:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    code: str = problem["code"]
    return code


def weaker_policy(**fields: object) -> str:
    """Below the default floor."""
    return json.dumps({"selection": {"threshold": 0.1}, **fields})
