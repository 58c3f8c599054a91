"""A run short enough for every day; `make contract` has more cases, and runs on S3 too."""

from pathlib import Path

from tests.contract.running import judge
from tests.contract.standing import judged_service


def test_the_service_keeps_to_its_document(tmp_path: Path) -> None:
    """Every operation that the document names is called, with what it allows and what it does not,
    alone and after others: each is granted at least once, no check of schemathesis fails, and
    nothing unforeseen is logged."""
    with judged_service(tmp_path, None) as given:
        verdict = judge(given, tmp_path, examples=3, short=True)
    complaints = verdict.complaints(least_cases=500)
    assert complaints == [], verdict.output
