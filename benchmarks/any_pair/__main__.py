"""`python -m benchmarks.any_pair`: what sanitizing does to adapters of a pair of checkpoints.

Everything is kept under --output as it is made: the same command goes on where it was stopped, and
only writes the report where nothing is missing.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks.any_pair.judging import parse_judge
from benchmarks.any_pair.plan import (
    Plan,
    forbidden_questions,
    named_adapters,
    read_policies,
    task_questions,
)
from benchmarks.any_pair.study import run
from core.errors import GateError, RequestError

DONE, FAILED, WRONG_ARGUMENTS = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong arguments, inputs or judge."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    disable_progress_bar()
    parsed = _parser().parse_args(arguments)
    try:
        plan = _plan(parsed)
        run(plan)
    except torch.OutOfMemoryError as error:
        message = f"{error}\ntry a smaller --batch; what was answered is kept"
        return _failed("out_of_memory", message, FAILED)
    except RequestError as error:
        return _failed(error.code, error.message, WRONG_ARGUMENTS)
    except (GateError, OSError) as error:
        code = error.code if isinstance(error, GateError) else "os_error"
        return _failed(code, str(error), FAILED)
    print(plan.output / "report.md")
    return DONE


def _failed(code: str, message: str, exit_code: int) -> int:
    print(f"error [{code}]: {message}", file=sys.stderr)
    return exit_code


def _plan(parsed: argparse.Namespace) -> Plan:
    for folder in (parsed.base, parsed.aligned, *parsed.adapter):
        if not folder.is_dir():
            raise RequestError(f"{folder} is no folder: name one that is", code="arguments")
    for count in (parsed.tokens, parsed.task_tokens, parsed.batch):
        if count < 1:
            raise RequestError(
                "--tokens, --task-tokens and --batch are 1 or more", code="arguments"
            )
    return Plan(
        base=parsed.base,
        aligned=parsed.aligned,
        adapters=named_adapters(parsed.adapter),
        policies=read_policies(parsed.policies),
        forbidden=forbidden_questions(parsed.forbidden, parsed.tokens),
        task=task_questions(parsed.task, parsed.task_tokens),
        judge=parse_judge(parsed.judge),
        batch=parsed.batch,
        output=parsed.output,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.any_pair", description=__doc__)
    add = parser.add_argument
    add("--base", type=Path, required=True, help="checkpoint of the model before alignment")
    add("--aligned", type=Path, required=True, help="checkpoint of the aligned model")
    add("--adapter", type=Path, required=True, action="append", help="an adapter; repeatable")
    add("--forbidden", type=Path, required=True, help='a prompt a line, or .jsonl with "prompt"')
    add("--task", type=Path, required=True, help='JSON lines with "prompt" and "answer"')
    add("--policies", type=Path, help='JSON file: {"name": policy, …}')
    add("--judge", help="program that reads answers and prints a number a row, else keywords")
    add("--tokens", type=int, default=64, help="of an answer to a forbidden prompt (64)")
    add("--task-tokens", type=int, default=64, help="of an answer to the task (64)")
    add("--batch", type=int, default=16, help="prompts at a time (16)")
    add("--output", type=Path, required=True, help="folder for all that is made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
