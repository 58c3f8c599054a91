"""What the speed benchmarks share: counts that are right, results that come back as they were."""

from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.figures.clock import Work, in_turn
from benchmarks.figures.operations import counted
from benchmarks.figures.result import Ratio, Result, Table


def test_operations_are_counted_and_views_are_not() -> None:
    """Two products of one matrix are two reads of it, through views and pieces too."""
    v, x = torch.ones(6, 4), torch.ones(6, 2)
    with counted(v) as operations:
        back = v.T @ x
        torch.cat([part @ back for part in (v[:2], v[2:4], v[4:])])
    assert operations.launched == {"mm": 4, "cat": 1}
    assert operations.read == 2 * v.numel()
    assert operations.largest == 12
    assert operations.made == 4 * (8 + 12 + 12)


def test_waits_are_values_asked_of_the_device() -> None:
    """What was brought to the host once is the host's, and so is all that is made of it."""
    x = torch.ones(3)
    with counted() as operations:
        float(x.sum())
        assert bool((x > 0).all())
        x.tolist()
        host = x.cpu()
        float((host * 2).sum())
        host.tolist()
    assert operations.waits == {"__float__": 1, "__bool__": 1, "tolist": 1, "cpu": 1}
    assert operations.launched == {"sum": 1, "gt": 1, "all": 1}


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    """What was kept as JSON shows the same tables and holds to the same figures."""
    table = Table("t", ("a", "b"), [["x", 1.5], ["y", None]], notes=("n",), drawn=("b",))
    made = Result("name", [table], [Ratio("r", 2.0, "at_most", 1.0)], date="2026-11-27")
    made.save(tmp_path / "folder" / "name.json")
    back = Result.load(tmp_path / "folder" / "name.json")
    assert (back.name, back.date, back.machine) == (made.name, made.date, made.machine)
    assert list(back.tables[0].columns) == ["a", "b"]
    assert [list(row) for row in back.tables[0].rows] == [["x", 1.5], ["y", None]]
    assert back.ratios == made.ratios


def test_works_take_turns() -> None:
    """Each once for warmth, and then forth and back: what comes second is second no more often."""
    order: list[str] = []

    def clock(work: Work) -> float:
        work()
        return float(len(order))

    works = {name: partial(order.append, name) for name in "ab"}
    times = in_turn(works, 2, clock)
    assert "".join(order) == "ab" + "abba"
    assert times["a"].seconds == (3.0, 6.0)
    assert (times["b"].best, times["b"].median) == (4.0, 4.5)


@pytest.mark.parametrize(("value", "holds"), [(2.0, True), (2.1, False)])
def test_a_bound_itself_holds(value: float, holds: bool) -> None:
    """At most two is two too."""
    assert Ratio("r", value, "at_most", 2.0).holds is holds
