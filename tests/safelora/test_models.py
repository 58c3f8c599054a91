"""What a gate of another version says is read all the same."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import core.findings
import core.report
from app import views
from app.api import alignments
from app.description.examples import JOB
from safelora import Alignment, Finding, Job, ModuleRow, Report, Summary, models

names = st.text(min_size=1, max_size=8).filter(lambda name: name not in Job.model_fields)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(more=st.dictionaries(names, anything, max_size=3), state=st.text(), verdict=st.text())
def test_unknown_is_kept(more: dict[str, Any], state: str, verdict: str) -> None:
    """Fields, states, verdicts, severities: none breaks the client, none is lost."""
    said = JOB | more | {"state": state, "verdict": verdict, "links": {"attestation": "/x"}}
    said["findings"] = [{"code": "of_tomorrow", "outcome": "frozen", "weight": 3}]
    job = Job.model_validate_json(json.dumps(said))
    assert (job.state, job.verdict, job.ended) == (state, verdict, True)
    assert job.model_extra == more
    assert job.findings[0].outcome == "frozen"


def test_older_gate_says_less() -> None:
    """Of a job no more than what it is and where it stands."""
    job = Job.model_validate({"id": "j", "state": "running"})
    assert (job.ended, job.published, job.findings, job.progress) == (False, False, [], None)
    assert Report.model_validate({"verdict": "scored"}).output is None
    assert not Alignment.model_validate({"name": "a", "state": "building"}).ready


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (views.JobView, Job),
        (views.ProgressView, models.Progress),
        (views.JobList, models.JobPage),
        (alignments.AlignmentView, Alignment),
        (core.report.Summary, Summary),
        (core.findings.Finding, Finding),
    ],
)
def test_client_knows_what_the_gate_says(theirs: type[BaseModel], ours: type[BaseModel]) -> None:
    """Field by field, so that none is forgotten here when the gate learns to say more."""
    assert theirs.model_fields.keys() - ours.model_fields.keys() == set()


def test_report_is_read_as_it_is_written() -> None:
    """Nothing of it is lost on the way through the client; rows by the names of its JSON."""
    row = {"name": "layers.0.q_proj", "out": 8, "in": 4, "cosine": None, "directions": 3}
    said = {"schema": "safelora-gate/report/9", "verdict": "projected", "modules": [row]}
    report = Report.model_validate_json(json.dumps(said))
    assert isinstance(report.modules[0], ModuleRow)
    assert (report.modules[0].out_features, report.modules[0].in_features) == (8, 4)
    dumped = report.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == said


def test_examples_of_the_api_are_read() -> None:
    job = Job.model_validate(JOB)
    assert (job.published, job.ended, job.model_extra) == (True, True, {})
