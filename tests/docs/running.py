"""Runs the steps of a page, one after the other, against a running service."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.matching import Known
from tests.docs.page import Step
from tests.docs.serving import Service

ROOT = Path(__file__).parent.parent.parent
PAIR, PORT, DATA, RECEIVER = "/tmp/pair", "8000", "var", "9000"
"""What pages write for the pair of checkpoints, the port and the folder of `up`, and the port of a
receiver of their own."""
PATIENCE_SECONDS = 40.0
_UP = re.compile(r"\S*safelora-gate up\b")
_PRELUDE = """
set -a
test ! -e .variables || . ./.variables
curl() { command curl -sS "$@"; }
"""
_EPILOGUE = "\ncode=$?; unset -f curl; export -p > .variables; exit $code\n"
"""A reader has one shell for all commands. Of curl only the meter is left out."""


@dataclass
class Session:
    """A service, and what the page was found to mean so far.

    Commands run in `folder`, where `.venv/bin`, `demo/`, `examples/` and `var/` are those that the
    reader has.
    """

    service: Service
    folder: Path
    environment: dict[str, str]
    places: dict[str, str]
    known: Known = field(default_factory=Known)
    names: dict[str, Any] = field(default_factory=dict)

    def run(self, step: Step) -> str | None:
        """None if what the step prints is what the page shows; else what it printed.

        What only looks is repeated for a while: pages leave out that one waits.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            came = self._said_by(step)
            if self.known.learn(step.printed, came):
                return None
            if not _only_looks(step) or time.monotonic() > deadline:
                return came
            time.sleep(0.5)

    def _said_by(self, step: Step) -> str:
        if step.kind == "worker":
            stopped = {"held": signal.SIGSTOP, "free": signal.SIGCONT}
            os.kill(self.service.worker, stopped[step.text])
            return ""
        text = self.known.real(step.text)
        if _UP.match(text):
            return self._as_on_the_page(self.service.said)
        text = self.real(text)
        came = self._python(text) if step.kind == "python" else self._shell(text)
        return self._as_on_the_page(came)

    def _shell(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"{_PRELUDE}{command}{_EPILOGUE}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        return done.stdout

    def _python(self, code: str) -> str:
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(code, "page", "exec"), self.names)
        return printed.getvalue()

    def real(self, text: str) -> str:
        """With the places of this run."""
        for shown, place in self.places.items():
            text = re.sub(rf"(?<!\w){shown}\b", place, text)
        return text

    def _as_on_the_page(self, text: str) -> str:
        for shown, place in self.places.items():
            before = ":" if place.isdecimal() else ""  # other numbers may have the port's digits
            text = text.replace(f"{before}{place}", f"{before}{shown}")
        return text.replace(f"{self.service.data}/", f"{DATA}/")


def _only_looks(step: Step) -> bool:
    changes = (" -X", " -F", " -d", " --data", " -T", "safelora-gate", "python")
    return step.kind == "shell" and not any(flag in step.text for flag in changes)


def session(service: Service, folder: Path, key: str, receiver: int) -> Session:
    """`receiver`: the port that stands for the one of a page's own receiver."""
    _like_the_repository(folder, service.data)
    return Session(
        service=service,
        folder=folder,
        environment={
            **{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            **service.environment,
            "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}",
            "SAFELORA_KEY": key,
            "SAFELORA_URL": service.url,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "120",
        },
        places={
            PAIR: str(service.pair),
            PORT: service.url.rpartition(":")[2],
            RECEIVER: str(receiver),
        },
    )


def _like_the_repository(folder: Path, data: Path) -> None:
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("demo", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (folder / DATA).symlink_to(data)
    for name, arguments in (("python", ""), ("safelora-gate", " -m app.cli")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        script.chmod(0o755)
