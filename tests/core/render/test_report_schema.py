"""docs/report.schema.json, held against reports by a validator that knows nothing of the model."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from core.findings import finding
from core.policy import Policy
from core.render.report_schema import report_schema
from core.report import Report
from tests.core.render.made_up import of_layers, rejected, report

FILE = Path(__file__).parents[3] / "docs" / "report.schema.json"
WITHOUT_V = {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"}
REPORTS = {
    "projected": of_layers(2),
    "unchanged": of_layers(2, Policy(strength=0.0), "unchanged"),
    "scored": of_layers(2, Policy.model_validate({"selection": {"mode": "none"}}), "scored"),
    "rejected": rejected(),
    "without V": of_layers(2, Policy.model_validate(WITHOUT_V)),
    "with a sign": report(findings=[finding("family_outlier", "module", "q", "24 times")]),
}


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(FILE.read_text()))


def test_the_file_is_what_make_docs_writes() -> None:
    assert FILE.read_text() == report_schema()


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    assert jsonschema_rs.meta.is_valid(json.loads(FILE.read_text()))


@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_reports_fit(made: Report, validator: jsonschema_rs.Draft202012Validator) -> None:
    """As they are written, whatever the verdict."""
    assert [str(e) for e in validator.iter_errors(json.loads(made.as_bytes()))] == []


def test_every_field_of_a_module_is_explained() -> None:
    """But for those that say it by their names."""
    module = json.loads(FILE.read_text())["$defs"]["ModuleRow"]["properties"]
    assert {name for name, field in module.items() if "description" not in field} == {"rank"}


BROKEN: dict[str, Any] = {
    "an unknown verdict": lambda made: made.update(verdict="safe"),
    "an unknown field": lambda made: made.update(job="7ybqv25qt6vt2rr7h22ybvjmrd"),
    "no policy": lambda made: made.pop("policy"),
    "a cosine in words": lambda made: made["modules"][0].update(cosine="high"),
    "a module without a name": lambda made: made["modules"][0].pop("name"),
    "another schema": lambda made: made.update(schema="safelora-gate/report/2"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_is_no_report_does_not_fit(
    broken: Any, validator: jsonschema_rs.Draft202012Validator
) -> None:
    made = json.loads(of_layers(1).as_bytes())
    broken(made)
    assert not validator.is_valid(made)
