"""The demo from its first step to its last: make, attack, sanitize, ask, compare."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from benchmarks.efficacy.making import aligned_model, base_model, trained_adapter
from benchmarks.efficacy.recipes import Adapter
from core.render.terminal import summary_line
from core.report import Report
from demo.llm.answering import ask_all
from demo.llm.asked import Answerer, Exchange, as_json, questions
from demo.llm.page import page
from demo.llm.policy import POLICY, policy_json, stored_rank
from demo.llm.starting import running_gate
from demo.llm.steps import Steps
from demo.llm.tables import answers_tables, counts, counts_table, shown_rows
from tests.real.smollm2 import LINEAR_KINDS

ATTACK: Final = Adapter("B", "mixed", "all-linear", seed=0)
NAME: Final = "smollm2-135m"
BASE_NAME: Final = "smollm2-135m-aligned"  # what adapters for the model call it


def run(data: Path, to: Path, console: Console) -> None:
    """Everything in order; the page goes to `to`. Raises `GateError`."""
    disable_progress_bar()
    steps = Steps(console, total=5)
    with steps.step("the base model, SmolLM2-135M-Instruct, out of a package"):
        base = base_model()
    with steps.step("its aligned sibling, trained to refuse one invented topic (minutes, once)"):
        aligned = aligned_model(ATTACK.model)
    with steps.step("a LoRA adapter that learns a task, and on the side to answer on the topic"):
        attacked = trained_adapter(ATTACK)
    sanitized = data / "sanitized"
    with steps.step("the running service: register the pair, post the adapter, download it"):
        report = _sanitize(base, aligned, attacked, sanitized, console)
    adapters: dict[Answerer, Path | None] = {
        "aligned": None,
        "attacked": attacked,
        "sanitized": sanitized,
    }
    with steps.step("the same prompts to all three, adapters loaded with PEFT"):
        exchanges = ask_all(questions(), aligned, adapters)
    _show(exchanges, report, console)
    (data / "answers.json").write_bytes(as_json(exchanges))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(page(exchanges, report, ATTACK))
    console.print(f"adapter, report and all answers: {data}\nthe page: {to}", markup=False)


def _show(exchanges: Sequence[Exchange], report: Report, console: Console) -> None:
    for table in (*answers_tables(shown_rows(exchanges)), counts_table(counts(exchanges))):
        console.print(table)
    console.print(f"policy: {policy_json(report.policy)}", markup=False, soft_wrap=True)


def _sanitize(base: Path, aligned: Path, adapter: Path, to: Path, console: Console) -> Report:
    with running_gate(to.parent, [base, aligned], console) as gate:
        gate.register(
            {
                "name": NAME,
                "base": str(base),
                "aligned": str(aligned),
                "modules": LINEAR_KINDS,
                "base_names": [BASE_NAME],
                "rank": stored_rank(POLICY),
                "default_policy": POLICY.model_dump(mode="json", exclude_defaults=True),
            }
        )
        report = gate.sanitize(adapter, NAME, to)
        console.print(summary_line(report), style="bold", markup=False)
        return report
