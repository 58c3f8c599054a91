"""A gate of one's own with the demo's models, and Chromium to look at it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from redis import Redis

from core.jobs import Progress, now
from core.queue import JobQueue
from core.settings import QueueSettings
from safelora import Gate
from tests.service.up import key_in, up, url_in

ALIGNMENT: Final = "tiny-chat"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """A running gate with one alignment, the folder of the demo's adapter, and a key."""

    url: str
    key: str
    adapter: Path
    data: Path

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60.0)

    def gate(self) -> Gate:
        return Gate(self.url, self.key)

    def job(self, **fields: Any) -> str:
        """The id of a job on the demo's adapter that has ended."""
        with self.gate() as gate:
            job = gate.wait(gate.submit(self.adapter, alignment=ALIGNMENT, **fields))
            assert job.ended
            return job.id

    @contextmanager
    def no_worker(self) -> Iterator[None]:
        """Jobs are accepted and none is taken, for the seconds that a test needs."""
        pid = self._part("worker run")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def tell(self, job_id: str, stage: str, done: int, total: int) -> None:
        """As a worker says how far it is."""
        environment = dict(
            pair.partition("=")[::2]
            for pair in Path(f"/proc/{self._part('app.cli serve')}/environ").read_text().split("\0")
        )
        progress = Progress(stage=stage, done=done, total=total, started_at=now())
        with Redis.from_url(environment["SAFELORA_REDIS__URL"]) as redis:
            queue = JobQueue(redis, QueueSettings(), {})
            queue.set_progress(job_id, progress)
            queue.events.running(job_id, progress, begins=done == 0)

    def _part(self, words: str) -> int:
        """The process of this gate whose command line has these words in it."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_text().replace("\0", " ")
                if words in line and str(self.data) in (entry / "environ").read_text():
                    return int(entry.name)
            except OSError:
                continue
        raise AssertionError(f"no process of this gate runs {words}")


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """As `safelora-gate up` starts it, stopped at the end."""
    pair = folder / "pair"
    subprocess.run([sys.executable, _ROOT / "demo" / "make_pair.py", pair], check=True)
    with up(folder / "data", "--checkpoints", str(pair)) as (_, said):
        running = Stage(url_in(said), key_in(said), pair / "adapter", folder / "data")
        with running.gate() as gate:
            order = {"base": str(pair / "base"), "aligned": str(pair / "aligned")}
            gate.wait_for_alignment(
                gate.register(name=ALIGNMENT, base_names=["demo/tiny-chat"], **order)
            )
        yield running


@contextmanager
def chromium() -> Iterator[Browser]:
    """Raises `FileNotFoundError` where there is none, saying what to install."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise FileNotFoundError("no Chromium is installed: on Debian, apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--font-render-hinting=none",
            ],  # the first for root, in a container
        )
        yield browser
        browser.close()


def sign_in(page: Page, running: Stage, key: str | None = None) -> None:
    """With the key that `up` printed, if no other is given."""
    page.goto(f"{running.url}/sign-in")
    page.get_by_label("Key").fill(key or running.key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{running.url}/")


def new_context(browser: Browser, running: Stage, **options: Any) -> BrowserContext:
    """One in which somebody is signed in."""
    context = browser.new_context(base_url=running.url, **options)
    page = context.new_page()
    sign_in(page, running)
    page.close()
    return context
