"""A Markdown page as the steps it shows: shell commands and Python, with what they print.

A shell session is a block, indented or fenced, with lines that begin with `$ `; what follows a
command is what it prints. ```python is Python, and a block without a prompt right after it what
that prints. Comments steer the run: `<!-- not run: why -->` before a block leaves it out,
`<!-- run: settings -->` before one makes its variables those of the service, `<!-- run: s3 -->`
anywhere asks for a service on S3, `<!-- run: with tiny-chat -->` for one that has this alignment,
`<!-- worker: held -->` and `<!-- worker: free -->` stop the worker and let it go on.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Literal

_COMMENT = re.compile(r"<!-- (not run|run|worker): (.+?) -->")
_FENCE = re.compile(r"```(\w*)$")
_COMMAND = re.compile(r"(curl|(\.venv/bin/)?safelora-gate|\S*python -m worker) ")
PROMPT = "$ "


@dataclass(frozen=True)
class Step:
    """`printed` is what the page says comes out; `line` where the step is on the page."""

    kind: Literal["shell", "python", "worker"]
    text: str
    printed: str
    line: int


@dataclass
class Page:
    """All that is to be run, in the page's order, and what the service must be for that.

    `left_out`: why, for each block that is not run. `shown`: the text of each that has no prompt.
    """

    steps: list[Step] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    asks: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Block:
    """`kind` is the word after the fence; `indented` has none. `follows`: right after a block."""

    kind: str
    text: str
    line: int
    follows: bool

    @property
    def has_prompt(self) -> bool:
        return any(line.startswith(PROMPT) for line in self.text.splitlines())


@dataclass(frozen=True)
class _Comment:
    kind: str
    text: str
    line: int


def read(path: Path) -> Page:
    """The page. Raises `ValueError` for what cannot be run."""
    page = Page()
    waiting: _Comment | None = None
    printing = False  # whether the last block was Python that was run
    for part in _parts(path.read_text().splitlines()):
        if isinstance(part, _Comment):
            if part.kind == "worker":
                page.steps.append(Step("worker", part.text, "", part.line))
            elif part.kind == "run" and part.text != "settings":
                page.asks.add(part.text)
            else:
                waiting = part
            continue
        if waiting is not None and waiting.kind == "not run":
            page.left_out.append(waiting.text)
            printing = False
        elif waiting is not None:
            page.settings.update(variables(part.text))
            printing = False
        elif printing and part.follows and not part.has_prompt and part.kind != "python":
            last = page.steps[-1]
            page.steps[-1] = Step("python", last.text, part.text, last.line)
            printing = False
        else:
            page.steps += _steps_of(part)
            page.shown += [] if part.has_prompt or part.kind == "python" else [part.text]
            printing = part.kind == "python"
        waiting = None
    return page


def variables(text: str) -> dict[str, str]:
    """The variables that a block sets. Raises `ValueError` for one that does something else."""
    words = [word for word in shlex.split(text, comments=True) if word != "export"]
    pairs = [word.partition("=") for word in words]
    if any(not sign for _, sign, _ in pairs):
        raise ValueError(f"these are no settings: {text}")
    return {name: value for name, _, value in pairs}


def _steps_of(block: _Block) -> Iterator[Step]:
    if block.kind == "python":
        yield Step("python", block.text, "", block.line)
        return
    lines = list(enumerate(block.text.splitlines(), start=block.line))
    while lines:
        number, line = lines.pop(0)
        if not line.startswith(PROMPT):
            # A block without a prompt, or what its author put before the first.
            if _COMMAND.match(line):
                raise ValueError(f"line {number}: a command without a prompt is not run: mark it")
            continue
        command = line.removeprefix(PROMPT)
        while not _is_whole(command):
            if not lines:
                raise ValueError(f"line {number}: the command does not end")
            command += f"\n{lines.pop(0)[1]}"
        if "…" in command:
            raise ValueError(f"line {number}: a command with … cannot be run: write it out")
        printed = []
        while lines and not lines[0][1].startswith(PROMPT):
            printed.append(lines.pop(0)[1])
        yield Step("shell", command, "\n".join(printed), number)


def _is_whole(command: str) -> bool:
    if command.endswith("\\"):
        return False
    try:
        shlex.split(command, comments=True)
    except ValueError:  # within a quotation
        return False
    return True


def _parts(lines: list[str]) -> Iterator[_Block | _Comment]:
    number = 0
    ended = -2  # the line after the last block
    while number < len(lines):
        line = lines[number]
        start = number
        number += 1
        if comment := _COMMENT.search(line):
            yield _Comment(comment[1], comment[2], start + 1)
        elif fence := _FENCE.match(line):
            while lines[number] != "```":
                number += 1
            text = "\n".join(lines[start + 1 : number])
            number += 1
            yield _Block(fence[1], text, start + 2, start <= ended + 1)
            ended = number
        elif line.startswith("    "):
            while number < len(lines) and (not lines[number] or lines[number].startswith("    ")):
                number += 1
            text = dedent("\n".join(lines[start:number])).rstrip("\n")
            yield _Block("indented", text, start + 1, start <= ended + 1)
            ended = start + len(text.splitlines())
