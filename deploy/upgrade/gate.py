"""A gate of two APIs, two workers and a courier, each of which may be of another version."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from redis import Redis
from rq import Worker

from chaos.adapters import GOLDEN
from chaos.parts import Valkey, steady_ports
from core.settings import PREFIX

APIS, WORKERS, COURIER = ("api-1", "api-2"), ("worker-1", "worker-2"), "courier"
ROOT = Path(__file__).parents[2]
_START_SECONDS = 90.0
_STOP_SECONDS = 60.0
_TAIL = 2000


class NotReady(Exception):
    """A part did not start; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Version:
    """A state of the repository, and what of the settings it is the first to know."""

    name: str
    tree: Path

    @property
    def signs(self) -> bool:
        return (self.tree / "core" / "attestation").is_dir()


@contextmanager
def version_of(ref: str, folder: Path) -> Iterator[Version]:
    """The repository at `ref`, in a git worktree that goes again."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), ref], check=True)
    try:
        yield Version("old", folder)
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


class Gate:
    """Its parts as processes, each in the tree of its version. A context manager.

    Everything lies under `folder`: the store, each worker's own alignments, the signing key.
    """

    def __init__(self, folder: Path, valkey: Valkey, key: Mapping[str, Any]) -> None:
        """`key`: what SAFELORA_ACCESS__KEYS is told of the one that there is."""
        self.folder = folder
        self.store = folder / "store"
        self.signing_key = folder / "signing-key.pem"
        self.redis_url = valkey.url
        self._key = key
        self._ports = dict(zip(APIS, steady_ports(len(APIS)), strict=True))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.terminate()
        for name in list(self._running):
            self.stop(name)

    @property
    def urls(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}

    def start(self, name: str, version: Version) -> None:
        """Returns once an API is ready, or a worker waits for jobs. Raises `NotReady`."""
        log, workers = self._log(name), self._workers()
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *self._command(name)],
                cwd=version.tree,
                env=self.environment(name, version),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_there(name, workers):
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-_TAIL:]
                raise NotReady(f"{name} did not get ready. Its log ends:\n{tail}")
            time.sleep(0.05)

    def _is_there(self, name: str, workers: int) -> bool:
        """`workers`: how many there were before."""
        if name in APIS:
            return is_ready(self.urls[name])
        return name == COURIER or self._workers() > workers

    def _workers(self) -> int:
        with Redis.from_url(self.redis_url) as redis:
            return Worker.count(redis)

    def stop(self, name: str) -> tuple[int, float]:
        """SIGTERM; the exit code, and the seconds that it took."""
        process, begun = self._running.pop(name), time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return code, time.monotonic() - begun

    def environment(self, name: str, version: Version) -> dict[str, str]:
        """Of this part; no setting of the caller's own shell is among it."""
        own = {
            "OMP_NUM_THREADS": "1",
            "SAFELORA_REDIS__URL": self.redis_url,
            "SAFELORA_STORE__PATH": str(self.store),
            "SAFELORA_ACCESS__KEYS": json.dumps([self._key]),
            "SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(GOLDEN)]),
            "SAFELORA_ALIGNMENTS__CACHE": str(self.folder / name / "alignments"),
            "SAFELORA_SCRATCH": str(self.folder / name / "scratch"),
        }
        if version.signs:
            own["SAFELORA_ATTESTATION__KEY"] = str(self.signing_key)
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(PREFIX)}
        return inherited | own

    def run(self, version: Version, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `safelora-gate` on this gate."""
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=version.tree,
            env=self.environment("terminal", version),
            capture_output=True,
            text=True,
            check=False,
        )

    def _command(self, name: str) -> list[str]:
        if name in APIS:
            return ["app.cli", "serve", "--port", str(self._ports[name])]
        return ["worker", "courier" if name == COURIER else "run"]

    def _log(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name / "log"


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=10.0, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
