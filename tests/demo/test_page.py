"""The page that the demo writes."""

import re
from pathlib import Path

from benchmarks.efficacy.recipes import Adapter
from demo.llm.asked import Exchange, Kind
from demo.llm.limits import LIMITS, limits_text
from demo.llm.page import page
from demo.llm.policy import policy_json
from tests.demo.made_up import asked, exchanges, report

ADAPTER = Adapter("A", "mixed", "query-value", seed=0)


def written(said: str | None = None) -> str:
    """The page; `said`: what every model answered to everything."""
    answered = exchanges()
    if said is not None:
        answered = [Exchange(one.question, dict.fromkeys(one.answers, said)) for one in answered]
    return page(answered, report(), ADAPTER)


def test_limits_come_first() -> None:
    """All of them stand before the first table."""
    before, _, _ = written().partition("|")
    flat = " ".join(before.split())
    assert all(limit in flat for limit in LIMITS)
    assert "reduces risk" in flat


def test_limits_keep_to_the_width() -> None:
    """No line of theirs is wider than the terminal."""
    assert max(map(len, limits_text(60).splitlines())) <= 60


def test_the_page_tells_what_ran() -> None:
    """The policy and what the report says of it, and every count."""
    text = written()
    assert policy_json(report().policy) in text
    assert "60 of 60 modules projected" in text
    kinds: tuple[Kind, ...] = ("topic", "ordinary", "task")
    for kind in kinds:
        assert f"| 0 of {asked(kind)} |" in text


def test_the_page_is_the_same_everywhere() -> None:
    """Written twice it is equal; it holds no folder of this machine and no address."""
    assert written() == written()
    assert str(Path.cwd()) not in written()
    assert not re.search(r"127\.0\.0\.1|localhost|slg_|\$\w", written())


def test_answers_cannot_break_the_tables() -> None:
    """Pipes, lines and markup in an answer are text of one cell."""
    rows = [line for line in written("a | b\n<b>*c*</b>").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert r"a \| b \<b\>\*c\*\</b\>" in written("a | b\n<b>*c*</b>")
