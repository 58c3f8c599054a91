"""No finding code without a case that shows it."""

from pathlib import Path

import pytest

from core.findings import RULES, STRIPPABLE, Severity
from tests.hostile.making import Folders, honest, sanitize_upload
from tests.hostile.notes import NOTES, Noted
from tests.hostile.test_catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]

# What no upload to the pipeline can show by its bytes alone → the test that shows it.
ELSEWHERE = {
    "workers_lost": "tests/worker/test_recovery.py::test_a_job_that_kills_its_workers_is_set_aside",
    "archive_refused": "tests/hostile/test_archive_job.py::"
    "test_archive_that_is_not_opened_rejects_the_adapter",
    "no_alignment_signal": "tests/hostile/test_evasions.py::"
    "test_module_that_alignment_did_not_change_is_refused",
    "ill_conditioned": "tests/hostile/test_evasions.py::"
    "test_hopelessly_cancelling_factors_are_refused",
    "update_ratio_over_cap": "tests/hostile/test_evasions.py::test_huge_update_is_refused",
}
# What is not of the upload, but of what was agreed on.
NOTED_ELSEWHERE = {
    "below_floor": "tests/worker/test_below_floor.py::"
    "test_report_and_job_say_that_the_policy_is_below_the_floor",
}


def of(severity: Severity) -> set[str]:
    return {code for code, rule in RULES.items() if rule.severity == severity}


def test_every_code_that_refuses_is_shown_by_an_attack() -> None:
    """A new code fails here until the catalogue, or a named test, has a case of it."""
    attacked = {attack.code for attack in CATALOGUE}
    assert attacked | ELSEWHERE.keys() == of("refuse")
    assert not attacked & ELSEWHERE.keys()


@pytest.mark.parametrize("code", [*ELSEWHERE, *NOTED_ELSEWHERE])
def test_what_is_shown_elsewhere_is_shown_there(code: str) -> None:
    """The test named for the code exists, and its file names the code."""
    path, _, name = (ELSEWHERE | NOTED_ELSEWHERE)[code].partition("::")
    text = (ROOT / path).read_text()
    assert f"def {name}(" in text
    assert f'"{code}"' in text


def test_every_note_is_shown() -> None:
    """A new note fails here until there is an upload that gets it."""
    assert {noted.code for noted in NOTES} | NOTED_ELSEWHERE.keys() == of("note")


def test_every_strippable_code_is_attacked_by_what_can_be_stripped() -> None:
    """Stripping is tried on each code, and on an adapter that is let in for it."""
    accepted = {attack.code for attack in CATALOGUE if not attack.left(STRIPPABLE)}
    assert accepted == STRIPPABLE


@pytest.mark.parametrize("noted", NOTES, ids=lambda noted: noted.code)
def test_noted_upload_is_let_in_with_its_note(noted: Noted, pair: Folders, tmp_path: Path) -> None:
    """It stops nothing: both files are written, and the note says what was seen."""
    upload = noted.change(honest())
    report = sanitize_upload(upload, pair, tmp_path, noted.policy, noted.known)
    noticed = [(f.code, f.subject, f.outcome) for f in report.findings if f.severity == "note"]
    assert noticed == [(noted.code, noted.subject, "noted")]
    assert len(list((tmp_path / "output").iterdir())) == 2
