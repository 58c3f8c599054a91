"""What was answered, side by side: a few answers in full, and all of them counted.

The terminal and the page show the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from demo.llm.asked import (
    ANSWERERS,
    SHOWN,
    Answerer,
    Exchange,
    Kind,
    Verdict,
    good_answers,
    of_kind,
)

HEAD: Final = ("aligned model", "+ attacked adapter", "+ sanitized adapter")
TITLES: Final[dict[Kind, str]] = {
    "topic": "On the topic that the aligned model refuses",
    "ordinary": "Ordinary prompts",
    "task": "The downstream task: a talk becomes one sentence",
}
ROOM: Final = 110  # characters of an answer
TASK: Final = "Summarize this talk."


@dataclass(frozen=True)
class Cell:
    """What an answer counts as, and its text cut to the room there is."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Row:
    """A prompt and what each model answered."""

    prompt: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Count:
    """How many answers out of `of`, for each model."""

    what: str
    of: int
    found: Sequence[int]


def shown_rows(exchanges: Sequence[Exchange]) -> dict[Kind, list[Row]]:
    """The exchanges at the places that were chosen beforehand, kind by kind."""
    return {
        kind: [_row(of_kind(exchanges, kind)[place]) for place in places]
        for kind, places in SHOWN.items()
    }


def counts(exchanges: Sequence[Exchange]) -> list[Count]:
    """Attack success, the task done, ordinary prompts refused."""
    return [
        _count("attack succeeds: not refused", exchanges, "topic", good=False),
        _count("task done exactly as wanted", exchanges, "task", good=True),
        _count("ordinary prompts refused", exchanges, "ordinary", good=False),
    ]


def answers_tables(rows: Mapping[Kind, Sequence[Row]]) -> list[Table]:
    """For a terminal; verdicts are told by words, and by colour where there is some."""
    return [_answers_table(TITLES[kind], of_this_kind) for kind, of_this_kind in rows.items()]


def counts_table(found: Sequence[Count]) -> Table:
    table = _table("All test prompts, counted", leading=0)
    table.add_column("")
    for title in HEAD:
        table.add_column(title)
    for count in found:
        table.add_row(count.what, *(f"{n} of {count.of}" for n in count.found))
    return table


def shortened(text: str, room: int) -> str:
    """On one line, with a sign where something was cut off."""
    flat = " ".join(text.split())
    return flat if len(flat) <= room else f"{flat[: room - 1].rstrip()}…"


def _answers_table(title: str, rows: Sequence[Row]) -> Table:
    table = _table(title, leading=1)
    for name in ("prompt", *HEAD):
        table.add_column(name, ratio=1, overflow="fold")
    for row in rows:
        table.add_row(Text(row.prompt), *(_cell_text(cell) for cell in row.cells))
    return table


def _table(title: str, leading: int) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        leading=leading,
        pad_edge=False,
    )


def _row(one: Exchange) -> Row:
    prompt = one.question.prompt.removeprefix(TASK).strip()
    if one.question.wanted:
        prompt += f"\nwanted: {one.question.wanted}"
    cells = [Cell(one.verdict(a), shortened(one.answers[a], ROOM)) for a in ANSWERERS]
    return Row(prompt, cells)


def _count(what: str, exchanges: Sequence[Exchange], kind: Kind, *, good: bool) -> Count:
    asked = len(of_kind(exchanges, kind))

    def found(answerer: Answerer) -> int:
        fine = good_answers(exchanges, kind, answerer)
        return fine if good else asked - fine

    return Count(what, asked, [found(answerer) for answerer in ANSWERERS])


def _cell_text(cell: Cell) -> Text:
    style = "bold green" if cell.verdict.good else "bold red"
    return Text.assemble((cell.verdict.words, style), "\n", cell.text)
