"""A Markdown page as the steps it shows: shell commands and Python, with what they print.

A shell session is a block, indented or fenced, with lines that begin with `$ `; what follows a
command is what it prints. ```python is Python, and a ```text block right after it what that prints.
Comments steer the run: `<!-- not run: why -->` before a block leaves it out, `<!-- run: s3 -->`
anywhere asks for a service on S3, `<!-- worker: held -->` and `<!-- worker: free -->` stop the
worker and let it go on.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_COMMENT = re.compile(r"<!-- (not run|run|worker): (.+?) -->")
_FENCE = re.compile(r"```(\w*)$")
PROMPT = "$ "


@dataclass(frozen=True)
class Step:
    """`printed` is what the page says comes out; `line` where the step is on the page."""

    kind: Literal["shell", "python", "worker"]
    text: str
    printed: str
    line: int


@dataclass(frozen=True)
class _Block:
    """`kind` is the word after the fence; `indented` has none."""

    kind: str
    lines: list[str]
    line: int


@dataclass(frozen=True)
class _Comment:
    kind: str
    text: str
    line: int


def on_s3(text: str) -> bool:
    """Whether the page asks for a service whose store is S3."""
    return any(found.groups() == ("run", "s3") for found in _COMMENT.finditer(text))


def steps(path: Path) -> list[Step]:
    """All that is to be run, in the page's order. Raises `ValueError` for what cannot be."""
    found: list[Step] = []
    skipped = False
    for part in _parts(path.read_text().splitlines()):
        if isinstance(part, _Comment):
            skipped = part.kind == "not run"
            if part.kind == "worker":
                found.append(Step("worker", part.text, "", part.line))
            continue
        if part.kind == "text" and found and found[-1].kind == "python" and not skipped:
            found[-1] = Step("python", found[-1].text, "\n".join(part.lines), found[-1].line)
        elif not skipped:
            found += _steps_of(part)
        skipped = False
    return found


def _steps_of(block: _Block) -> Iterator[Step]:
    if block.kind == "python":
        yield Step("python", "\n".join(block.lines), "", block.line)
        return
    lines = list(enumerate(block.lines, start=block.line))
    while lines:
        number, line = lines.pop(0)
        if not line.startswith(PROMPT):
            continue  # a block without a prompt, or what its author put before the first
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
    while number < len(lines):
        line = lines[number]
        start = number
        number += 1
        if comment := _COMMENT.search(line):
            yield _Comment(comment[1], comment[2], start + 1)
        elif fence := _FENCE.match(line):
            while lines[number] != "```":
                number += 1
            yield _Block(fence[1], lines[start + 1 : number], start + 2)
            number += 1
        elif line.startswith("    "):
            while number < len(lines) and (not lines[number] or lines[number].startswith("    ")):
                number += 1
            yield _Block("indented", [text[4:] for text in lines[start:number]], start + 1)
