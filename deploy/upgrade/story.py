"""The order of docs/operations.md, step by step, and the way back."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from redis import Redis

from app.terminal.first_key import new_key
from chaos.adapters import BASE_NAME, GOLDEN
from chaos.parts import Valkey
from deploy.upgrade.callers import ALIGNMENT, Answers, Callers
from deploy.upgrade.gate import APIS, COURIER, ROOT, WORKERS, Gate, Version, version_of

ALL_NEW = "all new"
BURST = 15
WAIT_SECONDS = 240.0
_MANY = 10


@dataclass
class Upgrade:
    """What is there, and what was found so far."""

    gate: Gate
    callers: Callers
    old: Version
    new: Version
    seconds: float
    complaints: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def begin(self, phase: str, *, post: bool = True) -> None:
        print(f"== {phase}", flush=True)
        self.callers.begin(phase, post=post)

    def replace(self, name: str, version: Version) -> None:
        """With jobs that wait, and others under way."""
        self.callers.burst(BURST)
        code, took = self.gate.stop(name)
        begun = time.monotonic()
        self.gate.start(name, version)
        there = time.monotonic() - begun
        self.say(
            f"{name}: ended with {code} in {took:.1f} s; {version.name} one after {there:.1f} s"
        )
        time.sleep(self.seconds)

    def must(self, is_so: bool, complaint: str) -> None:
        if not is_so:
            self.complaints.append(complaint)


def run(ref: str, folder: Path, seconds: float) -> list[str]:
    """What was wrong. Prints what is seen."""
    folder.mkdir(parents=True, exist_ok=True)
    key, entry = new_key()
    with ExitStack() as open_:
        old = open_.enter_context(version_of(ref, folder / "old"))
        valkey = open_.enter_context(Valkey())
        gate = open_.enter_context(Gate(folder, valkey, entry))
        callers = open_.enter_context(Callers(list(gate.urls.values()), key))
        upgrade = Upgrade(gate, callers, old, Version("new", ROOT), seconds)
        before, cookies = _start_old(upgrade, key)
        _there(upgrade, before, cookies)
        since = _ended_since(upgrade, before)
        _back(upgrade, before, since)
        _again(upgrade, before, since)
        _on_the_copy(upgrade, before)
        print("\n" + as_markdown(callers))
    return upgrade.complaints


def _start_old(upgrade: Upgrade, key: str) -> tuple[dict[str, Answers], httpx2.Cookies]:
    """What is given out of the jobs that ended, and a browser's session."""
    gate, callers = upgrade.gate, upgrade.callers
    if upgrade.old.signs:
        gate.run(upgrade.old, "signing-keys", "create").check_returncode()
    for name in (*APIS, COURIER, *WORKERS):
        gate.start(name, upgrade.old)
    url = gate.urls[APIS[0]]
    body = {"name": ALIGNMENT, "base": f"{GOLDEN}/base", "aligned": f"{GOLDEN}/aligned"}
    callers.order("/v1/alignments", url, {**body, "base_names": [BASE_NAME]})
    while json.loads(callers.fetch(f"/v1/alignments/{ALIGNMENT}", url))["state"] == "building":
        time.sleep(0.1)
    upgrade.begin("all old")
    time.sleep(upgrade.seconds)
    before = {i: callers.answers(i, url) for i, job in callers.jobs.items() if job.said}
    upgrade.say(f"{len(before)} jobs have ended")
    copied = shutil.copytree(gate.store, gate.folder / "copy", copy_function=_copy)
    count = sum(path.is_file() for path in Path(copied).rglob("*"))
    upgrade.say(f"the store is copied: {count} objects")
    return before, _signed_in(upgrade, key)


def _copy(source: str, target: str) -> None:
    """What is gone by now is left out."""
    if Path(source).exists():
        shutil.copy2(source, target)


def _signed_in(upgrade: Upgrade, key: str) -> httpx2.Cookies:
    """A browser's, where the old version has a page; else none."""
    url = upgrade.gate.urls[APIS[0]]
    with httpx2.Client(trust_env=False) as browser:
        browser.post(f"{url}/sign-in", data={"key": key}, headers={"Origin": url})
        return browser.cookies


def _there(upgrade: Upgrade, before: Mapping[str, Answers], cookies: httpx2.Cookies) -> None:
    gate, new = upgrade.gate, upgrade.new
    upgrade.begin("one API new")
    upgrade.replace(APIS[0], new)
    _same(upgrade, before)
    upgrade.begin("APIs and courier new, workers old")
    upgrade.replace(APIS[1], new)
    upgrade.replace(COURIER, new)
    _same(upgrade, before)
    _still_signed_in(upgrade, cookies)
    _ask_something_new(upgrade)
    if not upgrade.old.signs:
        gate.run(new, "signing-keys", "create").check_returncode()
    _doctor(upgrade)
    upgrade.begin("one worker new")
    upgrade.replace(WORKERS[0], new)
    upgrade.begin("both workers new")
    upgrade.replace(WORKERS[1], new)
    upgrade.begin(ALL_NEW)
    upgrade.callers.burst(BURST)
    time.sleep(upgrade.seconds)
    upgrade.begin("nothing posted", post=False)
    _all_ended(upgrade)
    _same(upgrade, before)
    _doctor(upgrade)


def _same(upgrade: Upgrade, before: Mapping[str, Answers]) -> None:
    """What had ended before is given out byte for byte, by each API."""
    for name, url in upgrade.gate.urls.items():
        told = {job_id: upgrade.callers.answers(job_id, url) for job_id in before}
        other = [job_id for job_id in before if told[job_id] != before[job_id]]
        upgrade.say(f"{name}: of {len(before)} jobs of before, {len(other)} answer otherwise")
        upgrade.must(not other, f"{name}: {other[:3]} are given out otherwise")


def _still_signed_in(upgrade: Upgrade, cookies: httpx2.Cookies) -> None:
    if not cookies:
        return upgrade.say("the old version has no page to sign in to")
    for name, url in upgrade.gate.urls.items():
        page = httpx2.get(f"{url}/", cookies=cookies, trust_env=False)
        upgrade.say(f"{name}: a browser that signed in before: {page.status_code}")
        upgrade.must(page.status_code == 200, f"{name}: a browser had to sign in again")
    return None


def _ask_something_new(upgrade: Upgrade) -> None:
    """A job that is tried again names the first one, which early versions do not know."""
    for _ in range(_MANY):
        upgrade.callers.burst(BURST)
        job_id = upgrade.callers.cancel_and_retry(upgrade.gate.urls[APIS[0]])
        if job_id is not None:
            break
    else:
        return upgrade.say("no job could be cancelled in time")
    job = upgrade.callers.jobs[job_id]
    upgrade.callers.wait_for(job_id, WAIT_SECONDS)
    upgrade.say(f"a job that was cancelled is tried again: {job.state} after {job.seconds:.0f} s")
    upgrade.say(f"  {(job.said or {}).get('error')}")
    job.may_fail = True
    return None


def _doctor(upgrade: Upgrade) -> None:
    said = json.loads(upgrade.gate.run(upgrade.new, "doctor", "--json").stdout)
    others = {c["name"]: c["state"] for c in said["checks"] if c["state"] != "ok"}
    upgrade.say(f"doctor: {len(said['checks'])} checks, not ok: {others or 'none'}")
    upgrade.must("failed" not in others.values(), f"doctor: {others}")


def _all_ended(upgrade: Upgrade) -> None:
    """Each accepted job, as its input is to end."""
    left = upgrade.callers.wait(WAIT_SECONDS)
    jobs = upgrade.callers.jobs
    upgrade.must(not left, f"{len(left)} jobs have not ended: {left[:3]}")
    for job_id, job in jobs.items():
        error = (job.said or {}).get("error")
        right = job.state in (None, job.wanted) or (job.may_fail and job.state == "failed")
        upgrade.must(right, f"{job_id} of {job.posted_in!r}: {job.state}, {error}")
    states = Counter(job.state for job in jobs.values())
    upgrade.say(f"{len(jobs)} jobs were accepted: {dict(states)}")


def _ended_since(upgrade: Upgrade, before: Mapping[str, Answers]) -> dict[str, Answers]:
    """Of the jobs that only new workers had, what is given out; and one verifies."""
    url, jobs = upgrade.gate.urls[APIS[0]], upgrade.callers.jobs
    since = {i: upgrade.callers.answers(i, url) for i in jobs if jobs[i].posted_in == ALL_NEW}
    _verify(upgrade, since, "a result of a new worker")
    if upgrade.old.signs:
        _verify(upgrade, before, "a result of an old worker")
    return since


def _verify(upgrade: Upgrade, jobs: Iterable[str], what: str) -> None:
    """The first one that was published, with the keys that the gate gives out."""
    url, callers = upgrade.gate.urls[APIS[0]], upgrade.callers
    published = [i for i in jobs if (callers.jobs[i].said or {}).get("verdict") == "projected"]
    folder = upgrade.gate.folder / what.replace(" ", "-")
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json", "attestation.json"):
        (folder / name).write_bytes(callers.fetch(f"/v1/jobs/{published[0]}/adapter/{name}", url))
    keys = folder.with_suffix(".keys")
    keys.write_bytes(callers.fetch("/.well-known/safelora-gate/keys", url))
    done = upgrade.gate.run(upgrade.new, "verify", str(folder), "--keys", str(keys))
    upgrade.say(f"{what}: {(done.stdout or done.stderr).splitlines()[0]}")
    upgrade.must(done.returncode == 0, f"{what} does not verify: {done.stderr}")


def _back(upgrade: Upgrade, before: Mapping[str, Answers], since: Mapping[str, Answers]) -> None:
    old = upgrade.old
    for phase, names in (
        ("back: one worker old", WORKERS[:1]),
        ("back: workers old", WORKERS[1:]),
        ("back: all old", (COURIER, *APIS)),
    ):
        upgrade.begin(phase)
        for name in names:
            upgrade.replace(name, old)
    upgrade.begin("nothing posted, all old", post=False)
    _same(upgrade, before)
    _readable(upgrade, since)


def _readable(upgrade: Upgrade, since: Mapping[str, Answers]) -> None:
    """What an old API makes of jobs that a new worker ended, and of the list that they are in."""
    url, callers = upgrade.gate.urls[APIS[0]], upgrade.callers
    told = Counter(callers.told(f"/v1/jobs/{job_id}", url) for job_id in since)
    upgrade.say(f"of {len(since)} jobs that new workers ended an old API says: {dict(told)}")
    upgrade.say(f"of the list of jobs: {callers.told('/v1/jobs', url)}")
    number = callers.jobs[next(iter(since))].number
    upgrade.say(f"of one of these adapters, posted again: {callers.post_again(number, url)}")


def _again(upgrade: Upgrade, before: Mapping[str, Answers], since: Mapping[str, Answers]) -> None:
    """All once more, so that everything is read that was written on the way."""
    upgrade.begin("all new again", post=False)
    for name in (*APIS, COURIER, *WORKERS):
        upgrade.gate.stop(name)
        upgrade.gate.start(name, upgrade.new)
    _all_ended(upgrade)
    _same(upgrade, before)
    _same(upgrade, since)


def _on_the_copy(upgrade: Upgrade, before: Mapping[str, Answers]) -> None:
    """The old version, with the store that was copied before and an empty Redis."""
    gate, callers = upgrade.gate, upgrade.callers
    upgrade.begin("old on the copy", post=False)
    for name in (*APIS, COURIER, *WORKERS):
        gate.stop(name)
    with Redis.from_url(gate.redis_url) as redis:
        redis.flushdb()
    gate.store = gate.folder / "copy"
    for name in (*APIS, COURIER, *WORKERS):
        gate.start(name, upgrade.old)
    _same(upgrade, before)
    callers.burst(BURST)
    _all_ended(upgrade)
    upgrade.begin("end", post=False)


def as_markdown(callers: Callers) -> str:
    """A row for each phase."""
    jobs = callers.jobs.values()
    rows = [
        "| phase | s | posted | ended | slowest, s | asked again |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for phase in callers.phases[1:-1]:
        ended = [job.seconds for job in jobs if job.ended_in == phase.name]
        refused = ", ".join(f"{n} × {what}" for what, n in phase.refused.most_common()) or "-"
        slowest = f"{max(ended):.1f}" if ended else "-"
        cells = (phase.name, f"{phase.seconds:.0f}", phase.posted, len(ended), slowest, refused)
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)
