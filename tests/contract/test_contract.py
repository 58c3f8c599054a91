"""A run short enough for every day; `make contract` has more cases, and runs on S3 too."""

from pathlib import Path

from tests.contract.running import judge, judged_service


def test_the_service_keeps_to_its_document(tmp_path: Path) -> None:
    """Every operation that the document names is called, with what it allows and what it does not,
    alone and after others: no check of schemathesis fails, and nothing unforeseen is logged."""
    with judged_service(tmp_path, None) as given:
        verdict = judge(given, tmp_path, examples=3)
    assert verdict.passed, verdict.output
    assert verdict.untested == 0
    assert verdict.cases > 1000
    for log in (tmp_path / "data" / "logs").glob("*.log"):
        assert "Traceback" not in log.read_text(), log.read_text()
