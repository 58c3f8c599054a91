"""What is to be measured: the pair, the adapters, the policies and the questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks.any_pair.judging import Judge
from benchmarks.any_pair.rows import read_bytes, read_rows, read_text
from core.canonical import digest, parse_json_strictly
from core.errors import RequestError
from core.policy import Policy, parse_policy

ALONE: Final = "no adapter"
BEFORE: Final = "before"
STEERING = ("q_proj", "k_proj", "v_proj")

SetName = Literal["forbidden", "task"]


@dataclass(frozen=True)
class Questions:
    """One set of prompts, answered in at most `tokens` tokens. `wanted`: the right answers, of
    the task alone."""

    name: SetName
    prompts: Sequence[str]
    tokens: int
    wanted: Sequence[str] = ()

    @property
    def digest(self) -> str:
        return digest([*self.prompts, self.tokens])


@dataclass(frozen=True)
class Plan:
    """`adapters` and `policies` by the names they have in the report; `batch`: prompts at a
    time."""

    base: Path
    aligned: Path
    adapters: Mapping[str, Path]
    policies: Mapping[str, Policy]
    forbidden: Questions
    task: Questions
    judge: Judge
    batch: int
    output: Path

    @property
    def sets(self) -> tuple[Questions, Questions]:
        return self.forbidden, self.task


def forbidden_questions(path: Path, tokens: int) -> Questions:
    """One prompt a line, or JSON lines with `prompt`. Raises `RequestError`."""
    if path.suffix == ".jsonl":
        prompts = [row["prompt"] for row in read_rows(path, ("prompt",))]
    else:
        prompts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return Questions("forbidden", _some(prompts, path), tokens)


def task_questions(path: Path, tokens: int) -> Questions:
    """JSON lines with `prompt` and `answer`. Raises `RequestError`."""
    rows = read_rows(path, ("prompt", "answer"))
    prompts = _some([row["prompt"] for row in rows], path)
    return Questions("task", prompts, tokens, [row["answer"] for row in rows])


def _some(prompts: list[str], path: Path) -> list[str]:
    if not prompts:
        raise RequestError(f"{path} holds no prompt: write at least one", code="no_prompts")
    return prompts


def named_adapters(folders: Sequence[Path]) -> dict[str, Path]:
    """Each by the shortest end of its path that tells them apart. Raises `RequestError`."""
    parts = [folder.resolve().parts for folder in folders]
    if len({*parts}) < len(parts):
        raise RequestError("an --adapter is given twice: name each once", code="arguments")
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    names = ["/".join(part[-length:]) for part in parts]
    return dict(zip(names, folders, strict=True))


def default_policies() -> dict[str, Policy]:
    """The published method, scaling as the baseline that others must beat, and the complement."""
    lowest = {"mode": "lowest", "share": 0.5}
    return {
        "Safe LoRA, threshold": Policy(),
        "Safe LoRA, lowest half": Policy.model_validate({"selection": lowest}),
        "scaling to 0.5": _everywhere(method="zero", strength=0.5),
        "scaling to 0.25": _everywhere(method="zero", strength=0.75),
        "input, turned 1.2": _by_kind(1.2),
        "input, turned 1.0": _by_kind(1.0),
    }


def _by_kind(strength: float) -> Policy:
    families = {name: {"rank": 2} for name in STEERING}
    return _everywhere(
        method="complement", side="input", rank=64, families=families, strength=strength
    )


def _everywhere(**fields: object) -> Policy:
    return Policy.model_validate({**fields, "selection": {"mode": "all"}, "scores": "spectrum"})


def read_policies(path: Path | None) -> dict[str, Policy]:
    """`{"name": policy, …}` from a JSON file, or the default ones. Raises `RequestError`."""
    if path is None:
        return default_policies()
    try:
        given = parse_json_strictly(read_bytes(path))
    except ValueError as error:
        raise RequestError(f"{path} is not JSON: {error}", code="policies_invalid") from error
    if not isinstance(given, dict) or not given:
        raise RequestError(
            f'{path} has to be an object of policies by name: {{"mine": {{"strength": 0.5}}}}',
            code="policies_invalid",
        )
    return {name: _policy(name, value) for name, value in given.items()}


def _policy(name: str, value: object) -> Policy:
    if name in (ALONE, BEFORE) or not name.strip() or not name.isprintable():
        raise RequestError(
            f'the policy name {name!r} is taken, empty or not printable: "{ALONE}" and "{BEFORE}"'
            " are measured anyway; choose another",
            code="policies_invalid",
        )
    if not isinstance(value, dict):
        raise RequestError(f"policy {name}: give an object", code="policies_invalid")
    try:
        policy = parse_policy(value)
    except RequestError as error:
        raise RequestError(f"policy {name}: {error.message}", code=error.code) from error
    if not policy.publishes:
        raise RequestError(
            f"policy {name} only scores, so there is no adapter to ask: leave it out, or select"
            " modules",
            code="policies_invalid",
        )
    return policy
