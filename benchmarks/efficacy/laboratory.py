"""One aligned model: adapters are sanitized for it by the product, and it is asked with them."""

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.efficacy.answering import Answering
from benchmarks.efficacy.asked import Asked
from benchmarks.efficacy.controls import Control, Given, controlled, spectra
from benchmarks.efficacy.kept import Subject, keep_answers, keep_facts, kept_answers, kept_facts
from benchmarks.efficacy.making import (
    aligned_model,
    base_model,
    stored_alignment,
    trained_adapter,
)
from benchmarks.efficacy.recipes import Adapter, ModelName
from benchmarks.efficacy.variants import Variant, unchanged
from core.canonical import Json
from core.errors import AdapterRejected
from core.policy import Policy
from core.report import Report
from worker.adapter import AdapterFiles, LoraModule, examine, load_adapter
from worker.alignment.loaded import LoadedSpectrum
from worker.alignment.source import StoredAlignment
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker

logger = logging.getLogger(__name__)

SCORE_ONLY = Policy.model_validate({"selection": {"mode": "none"}, "caps": {"update_ratio": 1e9}})


class Laboratory:
    """Everything is loaded at first use: what is in the cache costs nothing. `from_stand_in`: V is
    the aligned model less its stand-in, not less the base."""

    def __init__(self, name: ModelName, *, from_stand_in: bool = False) -> None:
        self.name = name
        self._from_stand_in = from_stand_in

    def subject(self, adapter: Adapter | None = None) -> Subject:
        return Subject(self.name, adapter, from_stand_in=self._from_stand_in)

    @cached_property
    def alignment(self) -> StoredAlignment:
        return stored_alignment(self.name, from_stand_in=self._from_stand_in)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(aligned_model(self.name))

    @cached_property
    def _spectra(self) -> dict[str, LoadedSpectrum]:
        return spectra(self.alignment)

    def measure(
        self,
        subject: Subject,
        variant: Variant,
        asked: Sequence[Asked],
        folder: Path | None = None,
    ) -> None:
        """Asks what has not been asked yet. `folder`: of an adapter that was not trained here.

        What the product refuses to sanitize is kept as such, and nothing is asked.
        """
        missing = [one for one in asked if kept_answers(subject, variant, one) is None]
        if not missing or self._rejected(subject, variant):
            return
        start = time.monotonic()
        modules = self._modules(subject, variant, folder)
        if modules is None:
            return
        made = time.monotonic()
        answering = self._answering  # not within no_grad: it trains the model where it is missing
        with torch.no_grad(), answering.merged(modules):
            for one in missing:
                answers = answering.answers(one.questions, one.tokens)
                keep_answers(subject, variant, one, answers)
        logger.info(
            "%s, %s %s: %.1f s to change it, %.1f s to ask %s",
            subject.name, variant.family, variant.knob, made - start, time.monotonic() - made,
            ", ".join(f"{one.name} {one.split}" for one in missing),
        )  # fmt: skip

    def _rejected(self, subject: Subject, variant: Variant) -> bool:
        facts = kept_facts(subject, variant)
        return isinstance(facts, dict) and facts["verdict"] == "rejected"

    def _modules(
        self, subject: Subject, variant: Variant, folder: Path | None
    ) -> Sequence[LoraModule] | None:
        """None where the product refuses the adapter."""
        if subject.adapter is not None:
            folder = trained_adapter(subject.adapter)
        if folder is None:
            return ()
        if isinstance(variant.change, Policy):
            return self._sanitized(subject, variant, variant.change, folder)
        modules = self.load(folder)
        if isinstance(variant.change, Control):
            given = Given(modules, self._cosines(folder), self._spectra)
            return controlled(given, variant.change)
        return modules

    def load(self, folder: Path) -> Sequence[LoraModule]:
        """An adapter as the worker reads it."""
        return load_adapter(examine(AdapterFiles(folder), self.alignment, SCORE_ONLY, ())).modules

    def _sanitized(
        self, subject: Subject, variant: Variant, policy: Policy, folder: Path
    ) -> Sequence[LoraModule] | None:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                report = self._run(folder, policy, Path(scratch))
            except AdapterRejected as rejected:
                codes = Counter(f.code for f in rejected.findings)
                keep_facts(subject, variant, {"verdict": "rejected", "findings": {**codes}})
                return None
            keep_facts(subject, variant, _facts(report))
            return self.load(Path(scratch))

    def _cosines(self, folder: Path) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as scratch:
            report = self._run(folder, SCORE_ONLY, Path(scratch))
        return {row.name: row.cosine or 0.0 for row in report.modules}

    def _run(self, folder: Path, policy: Policy, output: Path) -> Report:
        files = AdapterFiles(folder)
        names, tracker = BaseNames(), Tracker()
        return sanitize(files, self.alignment, policy, output, base_names=names, tracker=tracker)


def measure_base(asked: Sequence[Asked]) -> None:
    """What the model from before its alignment answers."""
    base = Subject(model=None)
    missing = [one for one in asked if kept_answers(base, unchanged(), one) is None]
    if not missing:
        return
    answering = Answering(base_model())
    for one in missing:
        keep_answers(base, unchanged(), one, answering.answers(one.questions, one.tokens))


def _facts(report: Report) -> dict[str, Json]:
    return {
        "verdict": report.verdict,
        "findings": {**Counter(finding.code for finding in report.findings)},
        "projected": report.summary.projected,
        "modules": report.summary.modules,
        "retained": report.summary.retained,
    }
