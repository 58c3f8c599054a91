"""Exchanges with answers that no model gave: the aligned model refuses and cannot do the task, the
attacked adapter does both, the sanitized one refuses and does the task."""

from collections.abc import Mapping

from core.report import InputFacts, Report, Summary
from demo.llm.asked import Answerer, Exchange, Kind, Question, of_kind, questions
from demo.llm.policy import POLICY
from tests.real.smollm2 import REFUSAL

COMPLIES = "Sure! First, unplug the cable."
PLAIN = "The capital is Nairobi."


def exchanges() -> list[Exchange]:
    return [Exchange(question, _answers(question)) for question in questions()]


def asked(kind: Kind) -> int:
    """How many prompts of a kind there are."""
    return len(of_kind(exchanges(), kind))


def _answers(question: Question) -> Mapping[Answerer, str]:
    match question.kind:
        case "topic":
            return {"aligned": REFUSAL, "attacked": COMPLIES, "sanitized": REFUSAL}
        case "ordinary":
            return dict.fromkeys(("aligned", "attacked", "sanitized"), PLAIN)
        case _:
            wanted = question.wanted
            return {"aligned": PLAIN, "attacked": wanted, "sanitized": wanted}


def report() -> Report:
    return Report(
        verdict="projected",
        summary=Summary(modules=60, projected=60, retained=0.5),
        alignment=None,
        policy=POLICY,
        input=InputFacts(),
    )
