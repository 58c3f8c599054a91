"""Callers: some post without a pause, one looks at every job, and all remember what was said."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from random import Random
from threading import Event, Lock, Semaphore
from typing import Protocol
from uuid import UUID

import httpx2

from chaos.adapters import make
from chaos.ledger import Document, Ledger
from chaos.reference import Expected
from core.canonical import sha256_hex
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, REPORT_HTML, REPORT_JSON

POSTERS, WATCHERS = 3, 2
UNDER_WAY = 8  # jobs at a time, so that there is always work and never a long wait
RETRY_PAUSE = 0.2
TIMEOUT = httpx2.Timeout(4.0, connect=1.0)

_LONGEST_PAUSE = 0.4  # between two posts of one poster
_LOOK_EVERY = 0.03
_QUIET_EVERY = 0.2
_DOWNLOADS = {
    REPORT_JSON: "report.json",
    REPORT_HTML: "report.html",
    ADAPTER_MODEL: f"adapter/{ADAPTER_MODEL}",
    ADAPTER_CONFIG: f"adapter/{ADAPTER_CONFIG}",
}


class Expectations(Protocol):
    def of(self, number: int) -> Expected:
        """What the input of this number comes to."""


class Posters:
    """Threads that post new adapters, as many as `allow` lets them, and each until it is answered.

    They wait while many are under way. Now and then the same request goes to two APIs at once, an
    old one is sent once more, or what was posted before is posted under another key.
    """

    def __init__(self, ledger: Ledger, urls: Sequence[str], alignment: str, random: Random) -> None:
        self._ledger = ledger
        self._urls = urls
        self._alignment = alignment
        self._random = random
        self._numbers = 0
        self._turn = 0
        self._lock = Lock()
        self._allowed = Semaphore(0)
        self._ending = Event()
        self._given_up = Event()
        self._client = _client()
        self._pool = ThreadPoolExecutor(POSTERS)
        self._work: list[Future[None]] = []

    def start(self) -> None:
        self._work = [self._pool.submit(self._post_on) for _ in range(POSTERS)]

    def allow(self, posts: int) -> None:
        """So many more."""
        self._allowed.release(posts)

    def finish(self, timeout: float) -> None:
        """Post nothing new; wait until what was begun is answered, and give up after `timeout`.

        Raises what a thread did not expect.
        """
        self._ending.set()
        self._allowed.release(POSTERS)
        wait(self._work, timeout)
        self._given_up.set()
        self._pool.shutdown()
        self._client.close()
        for work in self._work:
            work.result()

    def post_new(self) -> str | None:
        """One more at once, whatever `allow` says; its job's id."""
        return self.post(self._new_key(), self._new_number())

    def post(self, key: str, number: int) -> str | None:
        """Post this input under this key, to one API after the other, until one answers.

        Returns the id of its job; None if it was refused, or given up.
        """
        adapter = make(number)
        files = {part: (f"{part}.bin", data) for part, data in adapter.posted.items()}
        form = {"alignment": self._alignment, **adapter.form}
        self._ledger.begin(key, number)
        while not self._given_up.is_set():
            url = f"{self._next_url()}/v1/jobs"
            asked_at = time.monotonic()
            try:
                answer = self._client.post(
                    url, data=form, files=files, headers={"Idempotency-Key": key}
                )
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return self._take(key, answer, asked_at)
            self._given_up.wait(RETRY_PAUSE)
        return None

    def _take(self, key: str, answer: httpx2.Response, asked_at: float) -> str | None:
        if answer.status_code in (200, 202):
            document: Document = answer.json()
            self._ledger.accepted(key, document, asked_at=asked_at)
            return str(document["id"])
        said = f"{answer.status_code} {answer.text:.200}"
        self._ledger.complain("wrong", f"key {key}: refused with {said}")
        return None

    def _post_on(self) -> None:
        while True:
            self._allowed.acquire()
            while len(self._ledger.unfinished()) >= UNDER_WAY and not self._ending.is_set():
                self._ending.wait(RETRY_PAUSE)
            if self._ending.is_set():
                return
            self._post_something()
            self._ending.wait(self._random.uniform(0.0, _LONGEST_PAUSE))

    def _post_something(self) -> None:
        chance = self._random.random()
        orders = self._ledger.orders
        if chance < 0.1:
            self._post_at_once(self._new_key(), self._new_number())
        elif chance < 0.15 and orders:
            order = self._random.choice(orders)
            self.post(order.key, order.number)
        elif chance < 0.3 and orders:
            self.post(self._new_key(), self._random.choice(orders[-10:]).number)
        else:
            self.post(self._new_key(), self._new_number())

    def _post_at_once(self, key: str, number: int) -> None:
        with ThreadPoolExecutor(2) as both:
            for done in [both.submit(self.post, key, number) for _ in range(2)]:
                done.result()

    def _new_number(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers - 1

    def _new_key(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _next_url(self) -> str:
        with self._lock:
            self._turn += 1
            return self._urls[self._turn % len(self._urls)]


class Watcher:
    """Threads that look at the accepted jobs at random, and at what they serve."""

    def __init__(
        self, ledger: Ledger, urls: Sequence[str], references: Expectations, random: Random
    ) -> None:
        self._ledger = ledger
        self._urls = urls
        self._references = references
        self._random = random
        self._client = _client()
        self._turn = 0
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(WATCHERS)
        self._work: list[Future[None]] = []

    def start(self) -> None:
        self._work = [self._pool.submit(self._watch) for _ in range(WATCHERS)]

    def stop(self) -> None:
        """Raises what a thread did not expect."""
        self._stopped.set()
        self._pool.shutdown()
        self._client.close()
        for work in self._work:
            work.result()

    def wait_until_quiet(self, timeout: float) -> bool:
        """Until every accepted job was seen at its end, by a thread or here; False if for
        `timeout` seconds none ended."""
        left, deadline = 0, time.monotonic() + timeout
        while unfinished := self._ledger.unfinished():
            if len(unfinished) != left:
                left, deadline = len(unfinished), time.monotonic() + timeout
            if time.monotonic() > deadline:
                return False
            self._look_at(unfinished)
            time.sleep(_QUIET_EVERY)
        return True

    def wait_for(self, job_id: str, timeout: float) -> bool:
        """Until this job was seen at its end; False if the time was up before."""
        deadline = time.monotonic() + timeout
        while job_id in self._ledger.unfinished():
            if time.monotonic() > deadline:
                return False
            self._look_at([job_id])
            time.sleep(_QUIET_EVERY)
        return True

    def look(self, job_id: str, url: str) -> Document | None:
        """The job's document now, noted down; None where there is no answer."""
        asked_at = time.monotonic()
        answer = self._get(f"{url}/v1/jobs/{job_id}")
        if answer is None:
            return None
        if answer.status_code != 200:
            said = f"{answer.status_code} {answer.text:.200}"
            self._ledger.complain("wrong", f"job {job_id}: accepted, and then answered {said}")
            return None
        document: Document = answer.json()
        self._ledger.saw(document, asked_at=asked_at)
        return document

    def download(self, job_id: str, url: str, name: str) -> None:
        """One of the job's files: there only once the job has ended, and with the right bytes."""
        seen = self._ledger.jobs[job_id]
        end = seen.final
        answer = self._get(f"{url}/v1/jobs/{job_id}/{_DOWNLOADS[name]}")
        if answer is None:
            return
        expected = self._references.of(seen.number)
        if answer.status_code == 200:
            self._ledger.downloaded()
            if sha256_hex(answer.content) != expected.sha256(name):
                self._ledger.complain("wrong", f"job {job_id}: served another {name} than expected")
            after = self.look(job_id, url)
            if after is not None and after["finished_at"] is None:
                self._ledger.complain("wrong", f"job {job_id}: served {name} before it had ended")
        elif end is not None and end["state"] == expected.state and expected.sha256(name):
            said = f"{answer.status_code} {answer.text:.200}"
            self._ledger.complain("wrong", f"job {job_id}: has ended, and {name} is {said}")

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY):
            jobs = self._ledger.jobs
            if not jobs:
                continue
            unfinished = self._ledger.unfinished()
            among = unfinished if unfinished and self._random.random() < 0.6 else list(jobs)
            job_id, url = self._random.choice(among), self._random.choice(self._urls)
            if self._random.random() < 0.3:
                self.download(job_id, url, self._random.choice(list(_DOWNLOADS)))
            else:
                self.look(job_id, url)

    def _look_at(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            self._turn += 1
            self.look(job_id, self._urls[self._turn % len(self._urls)])

    def _get(self, url: str) -> httpx2.Response | None:
        """None where nobody answers, or only to say that something is down."""
        try:
            answer = self._client.get(url)
        except httpx2.TransportError:
            return None
        return None if answer.status_code >= 500 else answer


def _client() -> httpx2.Client:
    return httpx2.Client(trust_env=False, timeout=TIMEOUT, follow_redirects=True)
