"""A run with few samples, and what its exit code says."""

import re

import pytest

from benchmarks.queue_depth import __main__ as benchmark
from benchmarks.queue_depth.sampling import percentile


def test_a_run_prints_medians_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    """Both calls, both figures, on two gates of its own; noise of so few samples is let pass."""
    assert benchmark.main(["--samples", "3", "--queued", "12", "--allowed", "1000"]) == 0
    printed = capsys.readouterr().out
    assert "12 jobs wait at one gate, none at the other; store: local" in printed
    rows = re.findall(r"^(GET|POST) +(median|p95) +[\d.]+ +[\d.]+ +[\d.]+$", printed, re.MULTILINE)
    assert rows == [(call, figure) for call in ("GET", "POST") for figure in ("median", "p95")]
    assert re.search(r"^largest ratio [\d.]+, allowed 1000.0: passed$", printed, re.MULTILINE)


@pytest.mark.parametrize(("largest", "code"), [(1.5, 0), (1.501, 1)])
def test_the_largest_ratio_decides(
    monkeypatch: pytest.MonkeyPatch, largest: float, code: int
) -> None:
    """1.5 times as slow is allowed, and no more."""
    monkeypatch.setattr(benchmark, "compare", lambda *_: largest)
    assert benchmark.main([]) == code


@pytest.mark.parametrize(("count", "found"), [(1, 1), (20, 19), (21, 20), (1000, 950)])
def test_percentile_is_one_of_the_values(count: int, found: int) -> None:
    """The smallest that 95 % are no larger than."""
    assert percentile(range(count, 0, -1), 95) == found
