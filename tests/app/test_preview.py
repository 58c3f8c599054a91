"""What another selection would choose, asked over HTTP. That it is what a run does is shown in
tests/worker/test_preview.py."""

from typing import Any

from httpx2 import Response

from app.description.report import REPORT
from core.alignments import MANIFEST_FILE, AlignmentRecord
from core.canonical import pretty_json
from core.report import Report
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.following import posted
from tests.app.gate import Gate, code_of

MODULE = "layers.0.q_proj"  # that of the alignment which a gate of tests has


def scored(gate: Gate, **fields: Any) -> tuple[str, AlignmentRecord]:
    """A job that has ended, with a report of one module of cosine 0.2927."""
    record = gate.register()
    job_id = posted(gate)
    request = gate.services.records.request("default", job_id)
    assert request is not None
    row = {**REPORT["modules"][0], "name": MODULE}
    alignment = {**REPORT["alignment"], "id": record.id, "name": "base"}
    report = {**REPORT, "modules": [row], "alignment": alignment, **fields}
    gate.finish(request, report=pretty_json(report))
    return job_id, record


def asked(gate: Gate, job_id: str, selection: Any) -> Response:
    return gate.client.post(f"/v1/jobs/{job_id}/preview", json={"selection": selection})


def test_answer_says_what_would_be_chosen_and_how_to_have_it(gate: Gate) -> None:
    """The whole policy to post, and where it is weaker than the floor of this moment."""
    job_id, _ = scored(gate)
    before = list(gate.services.store.list(""))
    low, high = (asked(gate, job_id, {"threshold": cut}).json() for cut in (0.2, 0.9))
    assert [(m["name"], m["projected"], m["reason"]) for m in low["modules"]] == [
        (MODULE, False, "above_cut")
    ]
    assert (low["verdict"], low["summary"]["projected"], low["summary"]["retained"]) == (
        *("unchanged", 0),
        1.0,
    )
    assert low["below_floor"] == ["selection"]
    assert (high["verdict"], high["below_floor"]) == ("projected", [])
    assert high["policy"]["selection"]["threshold"] == 0.9
    assert high["policy"]["caps"] == REPORT["policy"]["caps"]
    assert list(gate.services.store.list("")) == before


def test_policy_of_the_answer_is_one_to_post(gate: Gate) -> None:
    """As it stands."""
    job_id, _ = scored(gate)
    policy = asked(gate, job_id, {"mode": "lowest", "count": 1}).json()["policy"]
    body = {"source": f"job:{job_id}", "policy": {**policy, "selection": {"mode": "all"}}}
    assert gate.client.post("/v1/jobs", json=body).status_code == 202


def test_selection_that_is_none_is_refused(gate: Gate) -> None:
    """Each with where it is wrong."""
    job_id, _ = scored(gate)
    for selection in ({"threshold": 2}, {"mode": "most"}, {"mode": "lowest"}, 7, None):
        response = asked(gate, job_id, selection)
        assert (response.status_code, code_of(response)) == (422, "validation_failed"), selection
        assert response.json()["problems"][0]["field"].startswith("body.selection")
    other = gate.client.post(f"/v1/jobs/{job_id}/preview", json={"selection": {}, "method": "zero"})
    assert (other.status_code, code_of(other)) == (422, "validation_failed")


def test_without_cosines_only_all_or_none_can_be_chosen(gate: Gate) -> None:
    """As the policy's own rule has it."""
    report = Report.model_validate_json(pretty_json(REPORT))
    policy = {
        **report.policy.as_json(),
        "scores": "spectrum",
        "method": "zero",
        "selection": {"mode": "all"},
    }
    job_id, _ = scored(gate, policy=policy)
    response = asked(gate, job_id, {"threshold": 0.5})
    assert (response.status_code, code_of(response)) == (422, "policy_invalid")
    assert asked(gate, job_id, {"mode": "none"}).json()["verdict"] == "scored"


def test_job_without_scores_says_why(gate: Gate) -> None:
    """Not ended, rejected before it was scored, or scored by another version."""
    gate.register()
    job_id = posted(gate)
    assert code_of(asked(gate, job_id, {})) == "job_not_finished"
    rejected, _ = scored(gate, modules=[], verdict="rejected")
    assert code_of(asked(gate, rejected, {})) == "no_scores"
    older, _ = scored(gate, schema="safelora-gate/report/0")
    assert code_of(asked(gate, older, {})) == "report_outdated"
    assert code_of(asked(gate, "0" * 26, {})) == "job_not_found"


def test_name_that_stands_for_another_pair_by_now_foretells_nothing(gate: Gate) -> None:
    """A job under it would be judged by the other."""
    job_id, _ = scored(gate)
    gate.register()
    response = asked(gate, job_id, {"threshold": 0.5})
    assert (response.status_code, code_of(response)) == (409, "alignment_removed")
    body = {"source": f"job:{job_id}"}
    again = gate.client.post("/v1/jobs", json=body)
    assert (again.status_code, code_of(again)) == (409, "alignment_removed")
    named = gate.client.post("/v1/jobs", json={**body, "alignment": "base"})
    assert named.status_code in (200, 202)


def test_alignment_that_is_gone_is_said_to_be(gate: Gate, open_gate: OpenGate) -> None:
    """Its names and norms are needed."""
    job_id, record = scored(gate)
    gate.services.store.delete(layout.alignment(record.id or "", MANIFEST_FILE))
    response = asked(open_gate(), job_id, {"threshold": 0.5})
    assert (response.status_code, code_of(response)) == (409, "alignment_removed")
