"""Callers who go on while the gate changes under them, and what they were told meanwhile."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock
from typing import Any, Self

import httpx2

from chaos.adapters import make
from core.canonical import sha256_hex

ALIGNMENT = "tiny"
FILES = ("report.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json")
"""What is downloaded of a job, under its address."""
_REJECTED = frozenset({"nan", "unknown_module", "truncated", "base_weight"})
_PAUSE = 0.3
_LOOK = 0.1
_PATIENCE = 120.0
_LOOKS = 8
_FINAL = ("succeeded", "rejected", "failed", "cancelled")
_JOBS = "/v1/jobs"
Answers = Mapping[str, str]
"""Of each file of a job: its SHA-256, or the status and code that came in its place."""


@dataclass
class Job:
    """One accepted job. `said`: the document that first told its end, and the phase it came in.
    `may_fail`: what it asks for is more than old workers know."""

    number: int
    posted_in: str
    said: Mapping[str, Any] | None = None
    ended_in: str | None = None
    may_fail: bool = False

    @property
    def wanted(self) -> str:
        return "rejected" if make(self.number).kind in _REJECTED else "succeeded"

    @property
    def seconds(self) -> float:
        """From its acceptance to its end; 0 before."""
        if self.said is None:
            return 0.0
        made, ended = (datetime.fromisoformat(self.said[n]) for n in ("created_at", "finished_at"))
        return (ended - made).total_seconds()

    @property
    def state(self) -> str | None:
        return None if self.said is None else str(self.said["state"])


@dataclass
class Phase:
    """`refused`: answers that were none of those that the API's description promises for good
    requests, and connections that broke, each with how often; all were asked again."""

    name: str
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    posted: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Callers:
    """One who posts a new adapter every 0.3 s, at one API after the other, and two who follow all
    that was accepted. A context manager: they end with it."""

    def __init__(self, urls: Iterable[str], key: str) -> None:
        self._jobs: dict[str, Job] = {}
        self.phases = [Phase("")]
        self._urls = itertools.cycle(urls)
        self._numbers = itertools.count()
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30.0
        )
        self._lock = Lock()
        self._posting, self._ended = Event(), Event()
        self._pool = ThreadPoolExecutor(3)
        self._work: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._work = [self._pool.submit(self._post_on)]
        self._work += [self._pool.submit(self._follow) for _ in range(2)]
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown()
        self._client.close()
        if kind is None:
            for work in self._work:
                work.result()

    @property
    def jobs(self) -> dict[str, Job]:
        """All that were accepted until now."""
        with self._lock:
            return dict(self._jobs)

    @property
    def phase(self) -> Phase:
        return self.phases[-1]

    def begin(self, name: str, *, post: bool = True) -> None:
        """What happens from here on belongs to a phase of this name."""
        self.phase.seconds = time.monotonic() - self.phase.begun
        self.phases.append(Phase(name))
        if post:
            self._posting.set()
        else:
            self._posting.clear()

    def burst(self, posts: int) -> list[str]:
        """So many jobs at once, beside the others."""
        return [self.post(next(self._numbers)) for _ in range(posts)]

    def open_jobs(self) -> list[str]:
        """Those whose end nobody was told of."""
        with self._lock:
            return [job_id for job_id, job in self._jobs.items() if job.said is None]

    def wait(self, timeout: float) -> list[str]:
        """Until all have ended; those that have not when the time is up."""
        deadline = time.monotonic() + timeout
        while (left := self.open_jobs()) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        return left

    def wait_for(self, job_id: str, timeout: float) -> None:
        """Until this one has ended, or the time is up."""
        deadline = time.monotonic() + timeout
        while self._jobs[job_id].said is None and time.monotonic() < deadline:
            time.sleep(_LOOK)

    def post(self, number: int) -> str:
        """Post this adapter until it is answered for good; the job's id.

        Raises `ValueError` if it is refused, or no API takes it within `_PATIENCE` or before the
        callers end.
        """
        phase = self.phase
        request = _request(number, "first")
        until = time.monotonic() + _PATIENCE
        while (answer := self._ask("POST", f"{next(self._urls)}{_JOBS}", **request)) is None:
            if self._ended.wait(_LOOK) or time.monotonic() > until:
                raise ValueError(f"adapter {number} was taken by no API")
        if answer.status_code not in (200, 202):
            raise ValueError(f"adapter {number} was refused: {answer.status_code} {answer.text}")
        said = answer.json()
        job_id, newer = str(said["id"]), bool(said.get("below_floor"))
        with self._lock:
            phase.posted += 1
            self._jobs[job_id] = Job(number, phase.name, may_fail=newer)
        return job_id

    def post_again(self, number: int, url: str) -> str:
        """What this API says to another job of this adapter, asked once."""
        answer = self._client.post(f"{url}{_JOBS}", **_request(number, "again"))
        return _told(answer, whole=False)

    def look(self, job_id: str, url: str) -> None:
        """At the job, noting its end."""
        answer = self._ask("GET", f"{url}{_JOBS}/{job_id}", params={"wait": 1})
        if answer is None:
            return
        said = answer.json()
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None and job.said is None and said["state"] in _FINAL:
                job.said, job.ended_in = said, self.phase.name

    def cancel_and_retry(self, url: str) -> str | None:
        """A job that is cancelled before it has ended, and then tried again: that one's id; None if
        it had ended."""
        number = next(self._numbers)
        first = self.post(number)
        try:
            self.order(f"/v1/jobs/{first}/cancel", url)
        except httpx2.HTTPStatusError:
            return None
        again = str(self.order(f"/v1/jobs/{first}/retry", url)["id"])
        with self._lock:
            del self._jobs[first]
            self._jobs[again] = Job(number, self.phase.name)
        return again

    def answers(self, job_id: str, url: str) -> Answers:
        """What is given out of it at this API."""
        return {
            name: _told(self._client.get(f"{url}/v1/jobs/{job_id}/{name}"), whole=True)
            for name in FILES
        }

    def told(self, path: str, url: str) -> str:
        """What this API says to a GET: `ok`, or a status with its code."""
        return _told(self._client.get(f"{url}{path}"), whole=False)

    def fetch(self, path: str, url: str) -> bytes:
        return self._client.get(f"{url}{path}").raise_for_status().content

    def order(self, path: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a POST of JSON."""
        answer = self._client.post(f"{url}{path}", json=body).raise_for_status()
        return dict(answer.json())

    def _ask(self, method: str, url: str, **request: Any) -> httpx2.Response | None:
        """None for what is to be asked again, which is counted."""
        try:
            answer = self._client.request(method, url, **request)
        except httpx2.TransportError as error:
            refused = type(error).__name__
        else:
            if answer.status_code < 500 and answer.status_code not in (404, 409):
                return answer
            refused = _told(answer, whole=False)
        with self._lock:
            self.phase.refused[f"{method} {refused}"] += 1
        return None

    def _post_on(self) -> None:
        while not self._ended.wait(_PAUSE):
            if self._posting.is_set():
                self.post(next(self._numbers))

    def _follow(self) -> None:
        while not self._ended.wait(_LOOK):
            waiting = self.open_jobs()
            for job_id in random.sample(waiting, min(_LOOKS, len(waiting))):
                self.look(job_id, next(self._urls))


def _request(number: int, turn: str) -> dict[str, Any]:
    """The form of this adapter, under an Idempotency-Key of its own each time."""
    adapter = make(number)
    return {
        "data": {"alignment": ALIGNMENT, **adapter.form},
        "files": {part: (f"{part}.bin", data) for part, data in adapter.posted.items()},
        "headers": {"Idempotency-Key": f"{turn}-{number}"},
    }


def _told(answer: httpx2.Response, *, whole: bool) -> str:
    if answer.status_code in (200, 202):
        return sha256_hex(answer.content) if whole else "ok"
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError):
        return str(answer.status_code)
