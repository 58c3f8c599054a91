"""An adapter under a policy, and the folder in which all that is found out about it is kept."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.any_pair.judging import Judge
from benchmarks.any_pair.plan import ALONE, BEFORE, Plan, Questions
from benchmarks.any_pair.rows import read_rows, write_rows, write_whole
from core.canonical import Json, digest
from core.policy import Policy
from core.report import ENGINE_VERSION, Report
from core.store.layout import REPORT_JSON
from worker.adapter import AdapterFiles
from worker.adapter.files import file_facts

VERSION = 1  # raise it when the same case would be answered otherwise


@dataclass(frozen=True, eq=False)
class Case:
    """`upload`: the adapter as it came, None for the aligned model alone; `policy`: None where
    nothing is sanitized."""

    adapter: str
    setting: str
    upload: Path | None
    policy: Policy | None
    folder: Path

    @property
    def sanitized(self) -> Path:
        """What the product wrote, with its report; the report alone of what it rejected."""
        return self.folder / "sanitized"

    @property
    def report(self) -> Report | None:
        """None if the product has not had it."""
        path = self.sanitized / REPORT_JSON
        return Report.model_validate_json(path.read_bytes()) if path.is_file() else None

    def answers_path(self, questions: Questions) -> Path:
        return self.folder / f"{questions.name}-{questions.digest[:12]}.jsonl"

    def answers(self, questions: Questions) -> list[str] | None:
        """None if they have not been asked."""
        path = self.answers_path(questions)
        if not path.is_file():
            return None
        return [row["answer"] for row in read_rows(path, ("prompt", "answer"))]

    def keep_answers(self, questions: Questions, answers: Sequence[str]) -> None:
        pairs = zip(questions.prompts, answers, strict=True)
        rows = ({"prompt": prompt, "answer": answer} for prompt, answer in pairs)
        write_rows(self.answers_path(questions), rows)

    def successes(self, questions: Questions, judge: Judge) -> list[float] | None:
        """What the judge says of each answer, asked once; None where there are no answers."""
        answers = self.answers_path(questions)
        if not answers.is_file():
            return None
        kept = answers.with_suffix(f".judged-{judge.digest[:12]}.json")
        if not kept.is_file():
            write_whole(kept, json.dumps(judge.successes(answers)).encode())
        values: list[float] = json.loads(kept.read_bytes())
        return values


def all_cases(plan: Plan) -> list[Case]:
    """The model alone, then every adapter as it came and under each policy."""
    kept = plan.output / "cases"
    pair = pair_stamp(plan)
    made = [Case("", ALONE, None, None, kept / _name(ALONE, [pair]))]
    for adapter, upload in plan.adapters.items():
        files = [file_facts(path).sha256 for path in AdapterFiles(upload).present]
        settings: list[tuple[str, Policy | None]] = [(BEFORE, None), *plan.policies.items()]
        for setting, policy in settings:
            what = None if policy is None else policy.as_json()
            name = _name(setting, [pair, files, what])
            made.append(Case(adapter, setting, upload, policy, kept / _slug(adapter) / name))
    return made


def pair_stamp(plan: Plan) -> str:
    """Another one when a file of the two checkpoints is changed, judged by name, size and time:
    to read tens of gigabytes at each start would take minutes."""
    return digest([_files(plan.base), _files(plan.aligned)])


def _files(folder: Path) -> list[Json]:
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _name(setting: str, recipe: list[Json]) -> str:
    return f"{_slug(setting)}-{digest([VERSION, ENGINE_VERSION, *recipe])[:12]}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name)[:80]
