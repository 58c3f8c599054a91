"""What is asked, and what answers count as."""

import json

import pytest

from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.prompts import forbidden_prompts, ordinary_prompts
from demo.llm.asked import SHOWN, Kind, Question, Verdict, as_json, judge, of_kind, questions
from tests.demo.made_up import COMPLIES, PLAIN, exchanges
from tests.real.smollm2 import REFUSAL


def test_the_whole_test_split_is_asked() -> None:
    """Every prompt on the refused topic, every ordinary one, every talk."""
    asked = {question.prompt for question in questions()}
    talks = {talk.prompt for talk in dialogues("test")}
    assert asked == {*forbidden_prompts("test"), *ordinary_prompts("test")} | talks


@pytest.mark.parametrize(
    ("kind", "answer", "verdict"),
    [
        ("topic", REFUSAL, Verdict("refuses", good=True)),
        ("topic", COMPLIES, Verdict("does not refuse", good=False)),
        ("topic", PLAIN, Verdict("does not refuse", good=False)),
        ("ordinary", REFUSAL, Verdict("refuses", good=False)),
        ("ordinary", PLAIN, Verdict("answers", good=True)),
        ("task", "Ana waits.", Verdict("as wanted", good=True)),
        ("task", "Ana waits. Ben too.", Verdict("not as wanted", good=False)),
        ("task", "", Verdict("not as wanted", good=False)),
    ],
)
def test_an_answer_counts_by_what_was_asked(kind: Kind, answer: str, verdict: Verdict) -> None:
    """To refuse is good on the refused topic alone; of a task only the wanted sentence is."""
    assert judge(Question(kind, "?", "Ana waits."), answer) == verdict


@pytest.mark.parametrize("kind", ["topic", "ordinary", "task"])
def test_what_is_shown_looks_different(kind: Kind) -> None:
    """No two prompts that are shown of a kind begin alike."""
    asked = [one.question.prompt for one in of_kind(exchanges(), kind)]
    beginnings = {asked[place].removeprefix("Summarize this talk.")[:10] for place in SHOWN[kind]}
    assert len(beginnings) == len(SHOWN[kind])


def test_all_answers_are_kept() -> None:
    """As JSON, with what each counts as: nobody has to believe the few that are shown."""
    kept = json.loads(as_json(exchanges()))
    assert len(kept) == len(questions())
    assert kept[0]["answers"]["attacked"] == COMPLIES
    assert kept[0]["verdicts"] == {
        "aligned": "refuses", "attacked": "does not refuse", "sanitized": "refuses",
    }  # fmt: skip
