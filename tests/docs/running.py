"""Runs the steps of a page, one after the other, against a service of its own."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import make_pair
from tests.docs.matching import Known
from tests.docs.page import Step
from tests.service.up import key_in, up, url_in

ROOT = Path(__file__).parent.parent.parent
PAIR, ADDRESS, DATA = "/tmp/pair", ":8000", "var"
"""What pages write for the pair of checkpoints, the port and the folder of `up`."""
PATIENCE_SECONDS = 60.0
_ASKING = re.compile(r"(\S*safelora-gate (?:align|calibrate))\b")
"""Commands that ask the gate at port 8000 unless told otherwise."""
_UP = re.compile(r"\S*safelora-gate up\b")


@dataclass
class Session:
    """A service that has just started, and what the page was found to mean so far.

    Commands run in `folder`, where `.venv/bin/python`, `.venv/bin/safelora-gate` and `demo/` are
    those of the repository.
    """

    folder: Path
    environment: dict[str, str]
    said: str
    places: dict[str, str]
    worker: int
    known: Known = field(default_factory=Known)
    names: dict[str, Any] = field(default_factory=dict)

    def run(self, step: Step) -> str | None:
        """None if what the step prints is what the page shows; else what it printed.

        What only looks is repeated for a minute: pages leave out that one waits.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            came = self._said_by(step)
            if self.known.learn(step.printed, came):
                return None
            if not _only_looks(step) or time.monotonic() > deadline:
                return came
            time.sleep(0.2)

    def _said_by(self, step: Step) -> str:
        if step.kind == "worker":
            stopped = {"held": signal.SIGSTOP, "free": signal.SIGCONT}
            os.kill(self.worker, stopped[step.text])
            return ""
        text = self.known.real(step.text)
        if _UP.match(text):
            return self._as_on_the_page(self.said)
        text = _ASKING.sub(rf"\1 --url http://127.0.0.1{ADDRESS}", text)
        for shown, real in self.places.items():
            text = text.replace(shown, real)
        came = self._python(text) if step.kind == "python" else self._shell(text)
        return self._as_on_the_page(came)

    def _shell(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # curl's meter
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

    def _as_on_the_page(self, text: str) -> str:
        for shown, real in self.places.items():
            text = text.replace(real, shown)
        return text


def _only_looks(step: Step) -> bool:
    changes = (" -X", " -F", " -d", " --data", " -T", "safelora-gate", "python")
    return step.kind == "shell" and not any(flag in step.text for flag in changes)


@contextmanager
def session(folder: Path, environment: dict[str, str]) -> Iterator[Session]:
    """A service on a demo pair, `environment` being further settings of it."""
    pair, data, work = folder / "pair", folder / "data", folder / "work"
    make_pair.main(pair)
    _like_the_repository(work)
    flags = ("--checkpoints", str(pair))
    with up(data, *flags, environment=environment) as (process, said):
        port = url_in(said).rpartition(":")[2]
        yield Session(
            folder=work,
            environment={
                **os.environ,
                "SAFELORA_KEY": key_in(said),
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "120",
            },
            said=said,
            places={PAIR: str(pair), ADDRESS: f":{port}", f" {DATA}/": f" {data}/"},
            worker=_child(process.pid, "run"),
        )


def _like_the_repository(folder: Path) -> None:
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (folder / "demo").symlink_to(ROOT / "demo")
    for name, arguments in (("python", ""), ("safelora-gate", " -m app.cli")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        script.chmod(0o755)


def _child(parent: int, last_argument: str) -> int:
    """The process that `parent` started with this as its last argument."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    [found] = [
        child
        for child in children
        if Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").split("\0")[-1] == last_argument
    ]
    return int(found)
