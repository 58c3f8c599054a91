"""Reports and jobs as a worker would leave them, for pages to show."""

from uuid import uuid4

from httpx2 import Response

from core.findings import Finding, finding
from core.jobs import JobFailure, JobResult, JobState, now
from core.policy import Policy
from core.report import AlignmentFacts, InputFacts, ModuleRow, Report, Summary, Verdict
from tests.app.gate import CONFIG, Gate, weights_of

PLAIN = "model.layers.0.self_attn.q_proj"


def row(name: str = PLAIN, *, cosine: float | None = 0.3, projected: bool = True) -> ModuleRow:
    return ModuleRow.model_validate(
        {
            "name": name,
            "layer": 0,
            "family": "q_proj",
            "rank": 8,
            "scaling": 2.0,
            "out": 64,
            "in": 32,
            "cosine": cosine,
            "baseline": 0.1,
            "signed": 0.0,
            "undo": 0.0,
            "energy": 0.5,
            "input_energy": 0.5,
            "directions": None,
            "purity": 0.1,
            "confined": 0.1,
            "retained": 0.25,
            "update_ratio": 0.02,
            "projected": projected,
            "borderline": False,
            "reason": "below_cut" if projected else "above_cut",
        }
    )


def report_of(
    *rows: ModuleRow, verdict: Verdict = "projected", findings: list[Finding] | None = None
) -> Report:
    cosines = [row.cosine for row in rows if row.cosine is not None]
    return Report(
        verdict=verdict,
        summary=Summary(
            modules=len(rows),
            projected=sum(row.projected for row in rows),
            retained=0.4,
            cosine_min=min(cosines, default=None),
            cosine_median=min(cosines, default=None),
            cosine_max=max(cosines, default=None),
        ),
        modules=list(rows),
        findings=findings or [],
        alignment=AlignmentFacts(id="0" * 40, name="base", rank=2, storage_loss=0.0),
        policy=Policy(),
        input=InputFacts(),
    )


def posted(gate: Gate, **fields: str) -> Response:
    """An adapter that no other job has."""
    return gate.post(config=CONFIG, weights=weights_of(uuid4().hex), **fields)


def ended(
    gate: Gate, report: Report | None = None, verdict: Verdict = "projected", **fields: str
) -> str:
    """The id of a job that left this report."""
    response = posted(gate, **fields)
    shown = report or report_of(row(), verdict=verdict)
    gate.finish(gate.request_of(response), verdict, report=shown.as_bytes())
    job_id: str = response.json()["id"]
    return job_id


def rejected(gate: Gate, subject: str = "a.lora_A.weight", detail: str = "") -> str:
    found = finding("non_finite", "tensor", subject, detail)
    return ended(gate, report_of(verdict="rejected", findings=[found]), "rejected")


def failed(gate: Gate, message: str = "the disk is full: make room") -> str:
    job_id: str = posted(gate).json()["id"]
    error = JobFailure(code="engine_error", message=message)
    gate.services.records.finish(
        "default", job_id, JobResult(state=JobState.FAILED, finished_at=now(), error=error)
    )
    return job_id
