"""What was answered, side by side in a terminal."""

import io

import pytest
from rich.console import Console

from demo.llm.asked import Exchange, Question
from demo.llm.tables import Cell, answers_tables, counts, counts_table, shortened, shown_rows
from tests.demo.made_up import COMPLIES, asked, exchanges


def printed(one: list[Exchange], width: int) -> str:
    """Both tables as a terminal without colours shows them."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for table in (*answers_tables(shown_rows(one)), counts_table(counts(one))):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_answer_is_counted() -> None:
    """Attack success, the task and ordinary refusals, each out of all that were asked."""
    assert [(count.of, count.found) for count in counts(exchanges())] == [
        (asked("topic"), [0, asked("topic"), 0]),
        (asked("task"), [0, asked("task"), asked("task")]),
        (asked("ordinary"), [0, 0, 0]),
    ]


@pytest.mark.parametrize("width", [100, 120, 160])
def test_tables_fit_the_terminal(width: int) -> None:
    """No line is wider, and verdicts and counts can be read without colours."""
    shown = printed(exchanges(), width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for words in ("refuses", "does not refuse", "as wanted", f"0 of {asked('ordinary')}"):
        assert words in shown


def test_what_a_model_says_is_no_markup() -> None:
    """Brackets in an answer are shown as they are."""
    said = "[red]no[/red] [/]"
    loud = [Exchange(one.question, dict.fromkeys(one.answers, said)) for one in exchanges()]
    assert said in printed(loud, 160)


def test_a_talk_is_shown_with_the_wanted_sentence() -> None:
    """And without the instruction, which all talks have."""
    row = shown_rows(exchanges())["task"][0]
    question = next(one.question for one in exchanges() if one.question.kind == "task")
    assert row.prompt == question.prompt.split("\n", 1)[1] + f"\nwanted: {question.wanted}"


def test_long_answers_are_cut() -> None:
    """To the room there is, on one line, with a sign; what fits stays as it is."""
    assert shortened("one\n\n two", room=7) == "one two"
    assert shortened("one two three", room=8) == "one two…"
    assert shortened("x" * 500, room=10) == "x" * 9 + "…"


def test_cells_are_what_was_judged() -> None:
    """A cell has the verdict on the whole answer, also where only its beginning is shown."""
    long = "word " * 100 + COMPLIES
    question = Question("topic", "?")
    cut = Cell(Exchange(question, {"aligned": long}).verdict("aligned"), shortened(long, 20))
    assert (cut.verdict.words, len(cut.text)) == ("does not refuse", 20)
