"""The whole service as processes that are started again whenever they end."""

import logging
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Self

import httpx2
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from chaos.parts import (
    APIS,
    COURIER,
    SEAWEED,
    VALKEY,
    WORKERS,
    Part,
    Seaweed,
    Valkey,
    cache_of,
    own_folders,
    service_commands,
    service_environment,
    steady_ports,
)
from chaos.proxy import StoreProxy

Entry = Callable[[str, list[str]], list[str]]

START_SECONDS = 90.0
STOP_SECONDS = 30.0
RESTART_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_TAIL = 2000
_ROOT = Path(__file__).parent.parent

_log = logging.getLogger(__name__)


class StackFailed(Exception):
    """A part did not start; the message ends with the last lines of its log."""


class Stack:
    """Valkey, SeaweedFS behind a proxy, two APIs, the workers and the courier. A context manager.

    Everything lies under `folder`, and is kept there. A part that ends is started again after a
    second, as by a container's restart policy, until the stack stops. `environment` holds further
    settings of the service; `entry` maps a part's name and its command to the command to run.
    `pause`: seconds by which the proxy holds up each chunk between service and store.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        entry: Entry | None = None,
        pause: float = 0.0,
        workers: Sequence[str] = WORKERS,
    ) -> None:
        self.folder = folder.resolve()
        self.restarts: Counter[str] = Counter()
        self._valkey = Valkey()
        self._seaweed = Seaweed()
        self._ports = dict(zip(APIS, steady_ports(len(APIS)), strict=True))
        self.redis_url = self._valkey.url
        self.apis = [f"http://127.0.0.1:{port}" for port in self._ports.values()]
        self.store = self._seaweed.settings()  # without the proxy between
        self._environment = dict(environment or {})
        self._entry = entry or (lambda _, command: command)
        self._pause = pause
        self.workers = tuple(workers)
        self._running: dict[str, _Running] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._supervisor = Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        """Returns when every API is ready. Raises `StackFailed` if one is not in time."""
        self.proxy = StoreProxy(self._seaweed.port, pause=self._pause)
        try:
            for part in self._servers():
                self._start(part)
            self._wait_for(VALKEY, self._valkey.is_ready)
            self._wait_for(SEAWEED, self._seaweed.is_ready)
            for part in self._service():
                self._start(part)
            for name, url in zip(APIS, self.apis, strict=True):
                self._wait_for(name, partial(_is_ok, f"{url}/readyz"))
        except BaseException:
            self.stop()
            raise
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM to the service, then to Valkey; SIGKILL for what outlives half a minute.

        SeaweedFS, which takes up to 12 s to stop and keeps what it has in any case, is killed.
        """
        self._stopping.set()
        if self._supervisor.ident is not None:
            self._supervisor.join()
        self.proxy.mode = "pass"
        self._end(signal.SIGTERM, (*APIS, COURIER, *self.workers))
        self._end(signal.SIGTERM, (VALKEY,))
        self._end(signal.SIGKILL, (SEAWEED,))
        self.proxy.close()
        self._seaweed.remove_sockets()

    def parts(self, kind: str) -> list[str]:
        """The names of the parts of this kind."""
        return [name for name, running in self._running.items() if running.part.kind == kind]

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process that runs this part, or ran it last."""
        with self._lock:
            return self._running[name].process

    def cache(self, worker: str) -> Path:
        """The folder of this worker's copies of alignments."""
        return cache_of(worker, self.folder)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def redis(self) -> Redis:
        """A client of the queue's Valkey that waits while that is down; the caller closes it."""
        patience = Retry(ConstantBackoff(_LOOK_SECONDS), int(STOP_SECONDS / _LOOK_SECONDS))
        return Redis.from_url(self.redis_url, retry=patience)

    def _part(self, name: str, command: list[str], environment: Mapping[str, str]) -> Part:
        return Part(name, tuple(self._entry(name, command)), environment, self.log(name))

    def _servers(self) -> Iterator[Part]:
        yield self._part(VALKEY, self._valkey.command(self.folder / VALKEY), os.environ)
        environment = {**os.environ, **self._seaweed.environment()}
        yield self._part(SEAWEED, self._seaweed.command(self.folder / SEAWEED), environment)

    def _service(self) -> Iterator[Part]:
        reached = self.store.model_copy(update={"endpoint_url": self.proxy.url})
        shared = {**service_environment(reached, self.redis_url), **self._environment}
        for name, command in service_commands(self._ports, self.workers).items():
            yield self._part(name, command, {**shared, **own_folders(name, self.folder)})

    def _start(self, part: Part) -> None:
        with self._lock:
            self._running[part.name] = _Running(part)

    def _supervise(self) -> None:
        ended: dict[str, float] = {}
        while not self._stopping.wait(_LOOK_SECONDS):
            for name, running in list(self._running.items()):
                code = running.process.poll()
                if code is None:
                    continue
                since = ended.setdefault(name, time.monotonic())
                if time.monotonic() - since >= RESTART_SECONDS:
                    del ended[name]
                    self.restarts[name] += 1
                    _log.info("%s ended with %d and is started again", name, code)
                    self._start(running.part)

    def _wait_for(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.process(name).poll() is None and time.monotonic() < deadline:
            if is_ready():
                return
            time.sleep(_LOOK_SECONDS)
        tail = self.log(name).read_text(errors="replace")[-_TAIL:]
        raise StackFailed(f"{name} did not get ready. Its log ends:\n{tail}")

    def _end(self, number: signal.Signals, names: Iterable[str]) -> None:
        there = [self._running[name] for name in names if name in self._running]
        for running in there:
            running.process.send_signal(number)
            running.process.send_signal(signal.SIGCONT)
        for running in there:
            running.end()


class _Running:
    """One run of a part. What it prints goes to its log through a pipe, and so counts as no file
    of its own."""

    def __init__(self, part: Part) -> None:
        self.part = part
        part.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            part.command,
            cwd=_ROOT,
            env=part.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pump = Thread(target=self._write_log, name=f"log-{part.name}", daemon=True)
        self._pump.start()

    def end(self) -> None:
        """Wait for its end, after it was told to."""
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("%s did not stop in %d s and is killed", self.part.name, STOP_SECONDS)
            self.process.kill()
            self.process.wait()
        self._pump.join()

    def _write_log(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed, self.part.log.open("ab") as log:
            while chunk := os.read(printed.fileno(), 1 << 16):
                log.write(chunk)
                log.flush()


def _is_ok(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=10.0, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
