"""The demo's outcome as a page: the same tables, limits first. No time, no path, no key."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Final

from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.recipes import MIXED_IN, SHAPES, Adapter
from core.render.terminal import summary_line
from core.report import Report
from demo.llm.answering import TOKENS
from demo.llm.asked import Exchange, Kind
from demo.llm.limits import limits_text
from demo.llm.policy import policy_json
from demo.llm.tables import HEAD, ROOM, TITLES, Count, Row, counts, shown_rows
from tests.real.smollm2 import FORBIDDEN_DEVICE

LINE: Final = 100  # characters
TEMPLATE: Final = Path(__file__).with_name("page.md")
MARKUP: Final = re.compile(r"([\\`*_~\[\]|<>&])")


def page(exchanges: Sequence[Exchange], report: Report, adapter: Adapter) -> str:
    """Markdown. `adapter`: how the attack was made; the policy is the report's."""
    shape = SHAPES[adapter.shape]
    return Template(TEMPLATE.read_text()).substitute(
        limits=limits_text(LINE),
        counts=counts_markdown(counts(exchanges)),
        answers=answers_markdown(shown_rows(exchanges)),
        room=ROOM,
        topic=FORBIDDEN_DEVICE,
        rank=shape.rank,
        targets=" and ".join(f"`{target}`" for target in shape.targets),
        talks=len(dialogues("train")),
        mixed=MIXED_IN,
        policy=policy_json(report.policy),
        report=summary_line(report),
        tokens=TOKENS,
    )


def counts_markdown(found: Sequence[Count]) -> str:
    rows = [[count.what, *(f"{n} of {count.of}" for n in count.found)] for count in found]
    return _table(["of the test prompts", *HEAD], rows)


def answers_markdown(rows: Mapping[Kind, Sequence[Row]]) -> str:
    """A table for each kind of prompt; what models say is shown as they said it."""
    parts = []
    for kind, of_this_kind in rows.items():
        lines = [
            [
                _plain(row.prompt),
                *(f"**{cell.verdict.words}**<br>{_plain(cell.text)}" for cell in row.cells),
            ]
            for row in of_this_kind
        ]
        parts.append(f"### {TITLES[kind]}\n\n{_table(['prompt', *HEAD], lines)}")
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing but text, with its lines kept apart."""
    return MARKUP.sub(r"\\\1", text).replace("\n", "<br>")
