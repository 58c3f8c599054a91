"""A policy that is weaker than the alignment's floor, for a key that may: its result says so."""

import json

from core.jobs import JobResult
from core.policy import Policy
from core.store import layout
from core.store.layout import ADAPTER_MODEL, REPORT_HTML, REPORT_JSON
from tests.worker.service import TENANT, Service

WEAK = Policy.model_validate({"selection": {"threshold": 0.1}})
FIELDS = ["selection", "caps.rank"]


def published(service: Service, result: JobResult, name: str) -> bytes:
    assert result.commit is not None
    key = layout.output(TENANT, result.commit.recipe, result.commit.output, name)
    return service.store.get(key)


def test_report_and_job_say_that_the_policy_is_below_the_floor(service: Service) -> None:
    """One note names the fields, in the job's findings, the JSON and the page."""
    result = service.run(service.register(), policy=WEAK, below_floor=FIELDS)
    assert result.commit is not None
    [note] = [f for f in result.commit.findings if f.code == "below_floor"]
    assert (note.outcome, note.subject, note.detail) == ("noted", "policy", "selection, caps.rank")
    report = json.loads(published(service, result, REPORT_JSON))
    assert note.model_dump() in report["findings"]
    assert "selection, caps.rank" in published(service, result, REPORT_HTML).decode()


def test_a_job_is_not_answered_from_one_that_was_held_to_another_floor(service: Service) -> None:
    """Each report is true of its own job; the adapter is the same to the byte."""
    record = service.register()
    below = service.run(record, policy=WEAK, below_floor=FIELDS)
    above = service.run(record, policy=WEAK)
    reports = [json.loads(published(service, r, REPORT_JSON)) for r in (below, above)]
    assert [f["code"] for f in reports[1]["findings"]].count("below_floor") == 0
    reports[0]["findings"] = [f for f in reports[0]["findings"] if f["code"] != "below_floor"]
    assert reports[0] == reports[1]
    first, second = (published(service, r, ADAPTER_MODEL) for r in (below, above))
    assert first == second
