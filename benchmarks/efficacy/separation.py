"""Whether a score tells attacks from adapters that mean no harm: the area under its ROC curve."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch

from benchmarks.efficacy.kept import Scores, keep_scores, kept_scores
from benchmarks.efficacy.laboratory import Laboratory
from benchmarks.efficacy.making import stored_alignment, trained_adapter
from benchmarks.efficacy.plan import Plan
from core.alignments import DEFAULT_RANK
from core.policy import Policy
from worker.adapter import AdapterFiles
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker

# Each such that more of it should mean an attack, as the report's fields are meant.
SUSPICION: Final[Mapping[str, Callable[[Mapping[str, float]], float]]] = {
    "cosine": lambda row: -row["cosine"],
    "signed": lambda row: -row["signed"],
    "undo": lambda row: -row["undo"],
    "energy": lambda row: -row["energy"],
    "input_energy": lambda row: row["input_energy"],
    "purity": lambda row: row["purity"],
    "confined": lambda row: row["confined"],
    "update_ratio": lambda row: row["update_ratio"],
}
SCORE_ONLY = Policy.model_validate({"selection": {"mode": "none"}})


def score(laboratory: Laboratory, plan: Plan) -> None:
    """Scores of every module, as the product reports them, for adapters that have none kept."""
    missing = [
        adapter
        for adapter in plan.adapters(laboratory.name)
        if kept_scores(laboratory.subject(adapter)) is None
    ]
    alignment = stored_alignment(laboratory.name, rank=DEFAULT_RANK) if missing else None
    for adapter in missing:
        assert alignment is not None  # noqa: S101  (there are some missing)
        folder = trained_adapter(adapter)
        names, tracker = BaseNames(), Tracker()
        report = sanitize(
            *(AdapterFiles(folder), alignment, SCORE_ONLY, folder),
            base_names=names,
            tracker=tracker,
        )
        rows = {
            m.name: {name: float(getattr(m, name)) for name in SUSPICION} for m in report.modules
        }
        keep_scores(laboratory.subject(adapter), rows)


def of_modules(scores: Sequence[Scores], name: str) -> list[float]:
    """How suspicious each module of each adapter is, by one score."""
    return [SUSPICION[name](row) for rows in scores for row in rows.values()]


def of_adapters(scores: Sequence[Scores], name: str) -> list[float]:
    """How suspicious each adapter is: the mean over its modules."""
    return [sum(values) / len(values) for rows in scores if (values := of_modules([rows], name))]


def area(attacks: Sequence[float], harmless: Sequence[float]) -> float:
    """The chance that an attack scores above a harmless one, ties half (Mann and Whitney)."""
    left = torch.tensor(attacks, dtype=torch.float64)[:, None]
    right = torch.tensor(harmless, dtype=torch.float64)[None, :]
    return float((left > right).double().mean() + 0.5 * (left == right).double().mean())


def curve(attacks: Sequence[float], harmless: Sequence[float]) -> list[tuple[float, float]]:
    """The ROC curve: (share of the harmless flagged, share of the attacks flagged) by falling
    threshold."""
    cuts = sorted({*attacks, *harmless}, reverse=True)
    return [
        (0.0, 0.0),
        *((_share(harmless, cut), _share(attacks, cut)) for cut in cuts),
    ]


def _share(values: Sequence[float], cut: float) -> float:
    return sum(value >= cut for value in values) / len(values)
