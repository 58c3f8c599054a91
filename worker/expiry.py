"""Expiry: what is past its age is deleted, and so is what nobody will ever finish.

The deletes are in such an order that the process may die after any of them, and the next time goes
on: a job's `result.json` goes last, so that no job looks unfinished, and a result's `commit.json`
first, so that no job is answered with half of it. It needs no torch.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from core.errors import StoreError
from core.jobs import created_ms, ids_from
from core.retention import is_older
from core.settings import RetentionSettings
from core.store import layout
from core.store.base import ObjectInfo, ObjectStore

Stop = Callable[[], bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExpiryCounts:
    """What was deleted: the inputs of so many jobs, jobs, results, idempotency claims, uploads that
    were never accepted, those that were sent ahead of a job, and unfinished puts. `failed`: what is
    left to the next time."""

    inputs: int = 0
    jobs: int = 0
    results: int = 0
    claims: int = 0
    uploads: int = 0
    sent_ahead: int = 0
    puts: int = 0
    failed: int = 0


class _Stopped(Exception):
    """The caller wants no more of it."""


def expire(
    store: ObjectStore,
    retention: RetentionSettings,
    now: datetime,
    *,
    stop: Stop = lambda: False,
) -> ExpiryCounts:
    """Delete what is past its age, tenant by tenant, until all is or `stop` says so.

    What cannot be deleted is logged and left to the next time, and holds up nothing else. Raises
    `StoreError` if not even the tenants can be listed.
    """
    total: Counter[str] = Counter()
    try:
        for tenant in store.folders(layout.tenants()):
            with _counting(total, f"tenant {tenant}") as counts:
                _Tenant(tenant, retention, _Hand(store, now, stop, counts)).go()
        abandoned = timedelta(hours=retention.abandoned)
        for prefix in (layout.tenants(), layout.alignments()):
            with _counting(total, prefix) as counts:
                _give_up(prefix, abandoned, _Hand(store, now, stop, counts))
    except _Stopped:
        _log.info("expiry was stopped, and goes on the next time")
    return ExpiryCounts(**total)


class _Hand:
    """Lists, deletes and counts; what it is asked after `stop` said so raises `_Stopped`."""

    def __init__(self, store: ObjectStore, now: datetime, stop: Stop, counts: Counter[str]) -> None:
        self.store = store
        self.counts = counts
        self.now = now
        self._stop = stop

    def check(self) -> None:
        if self._stop():
            raise _Stopped

    def is_older(self, info: ObjectInfo | None, age: timedelta) -> bool:
        return is_older(info, age, self.now)

    def listed(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        for info in self.store.entries(prefix, after=after):
            self.check()
            yield info

    def folders(self, prefix: str, after: str = "") -> Iterator[tuple[str, list[ObjectInfo]]]:
        """The folders right under `prefix`, each with all that is in it."""

        def folder(info: ObjectInfo) -> str:
            return info.key.removeprefix(prefix).rpartition("/")[0].partition("/")[0]

        for name, infos in groupby(self.listed(prefix, after), folder):
            if name:
                yield name, list(infos)

    def delete(self, key: str) -> bool:
        """True if it is gone; what is not is logged."""
        self.check()
        try:
            self.store.delete(key)
        except StoreError as error:
            self.pass_over(key, error)
            return False
        return True

    def delete_all(self, keys: Iterable[str]) -> bool:
        """True if all are gone; one that is not holds up none of the others."""
        return not [key for key in keys if not self.delete(key)]

    @contextmanager
    def passing_over(self, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.pass_over(what, error)

    def pass_over(self, what: str, error: StoreError) -> None:
        _log.error("%s is left to the next time: %s", what, error)
        self.counts["failed"] += 1


class _Tenant:
    """What one tenant has in the store."""

    def __init__(self, name: str, retention: RetentionSettings, hand: _Hand) -> None:
        self._name = name
        self._ages = retention.of(name)
        self._claims_stand = retention.idempotency
        self._abandoned = timedelta(hours=retention.abandoned)
        self._hand = hand

    def go(self) -> None:
        for duty in (self._claims, self._jobs, self._uploads, self._sent_ahead, self._results):
            with self._hand.passing_over(f"tenant {self._name}"):
                duty()

    def _claims(self) -> None:
        if self._claims_stand is None:
            return
        age = timedelta(days=self._claims_stand)
        for claim in self._hand.listed(layout.idempotency_claims(self._name)):
            if self._hand.is_older(claim, age):
                self._hand.counts["claims"] += self._hand.delete(claim.key)

    def _uploads(self) -> None:
        """Those whose mark is old, and that no request followed."""
        prefix = layout.all_pending(self._name)
        for mark in self._hand.listed(prefix):
            if self._hand.is_older(mark, self._abandoned):
                with self._hand.passing_over(mark.key):
                    self._upload(mark.key, mark.key.removeprefix(prefix))

    def _upload(self, mark: str, job_id: str) -> None:
        """The mark goes last, by which the inputs are found; it is fresh if it was put anew since,
        for the same request sent again."""
        store = self._hand.store
        if store.info(layout.job_request(self._name, job_id)) is not None:
            return
        if not self._hand.is_older(store.info(mark), self._abandoned):
            return
        inputs = list(store.list(layout.job_inputs(self._name, job_id)))
        if self._hand.delete_all(inputs) and self._hand.delete(mark):
            self._hand.counts["uploads"] += 1

    def _sent_ahead(self) -> None:
        """By the age of the id, for files may come as long as a signed URL is good; what comes
        later is found the next time. The record goes last."""
        prefix = layout.uploads(self._name)
        made = int((self._hand.now - self._abandoned).timestamp() * 1000)
        for upload_id, infos in self._hand.folders(prefix, after=prefix + ids_from(made)):
            if _is_made_by(upload_id, made):
                with self._hand.passing_over(prefix + upload_id):
                    record = layout.upload_record(self._name, upload_id)
                    there = [info.key for info in infos]
                    files = [key for key in there if key != record]
                    if self._hand.delete_all(files) and (
                        record not in there or self._hand.delete(record)
                    ):
                        self._hand.counts["sent_ahead"] += 1

    def _jobs(self) -> None:
        days = min((d for d in (self._ages.inputs, self._ages.jobs) if d is not None), default=None)
        if days is None:
            return
        prefix = layout.jobs(self._name)
        made = int((self._hand.now - timedelta(days=days)).timestamp() * 1000)
        for job_id, infos in self._hand.folders(prefix, after=prefix + ids_from(made)):
            if _is_made_by(job_id, made):
                with self._hand.passing_over(prefix + job_id):
                    self._job(job_id, {info.key: info for info in infos})

    def _job(self, job_id: str, infos: dict[str, ObjectInfo]) -> None:
        """Its age counts from its end, for it may have waited long for a worker."""
        result = infos.get(layout.job_result(self._name, job_id))
        if result is None:
            if layout.job_request(self._name, job_id) not in infos:
                self._unmarked(job_id, infos)
        elif self._is_past(result, self._ages.jobs):
            self._hand.counts["jobs"] += self._forget(job_id, infos)
        elif self._is_past(result, self._ages.inputs):
            inputs = self._inputs(job_id, infos)
            self._hand.counts["inputs"] += bool(inputs) and self._hand.delete_all(inputs)

    def _is_past(self, info: ObjectInfo, days: float | None) -> bool:
        return days is not None and self._hand.is_older(info, timedelta(days=days))

    def _inputs(self, job_id: str, infos: Iterable[str]) -> list[str]:
        return [key for key in infos if key.startswith(layout.job_inputs(self._name, job_id))]

    def _forget(self, job_id: str, infos: Iterable[str]) -> bool:
        request, result = layout.job_records(self._name, job_id)
        rest = [key for key in infos if key not in (request, result)]
        if not (self._hand.delete_all(rest) and self._hand.delete(request)):
            return False
        # What the courier put since they were listed; it puts no more once the request is gone.
        late = list(self._hand.store.list(layout.deliveries(self._name, job_id)))
        return self._hand.delete_all(late) and self._hand.delete(result)

    def _unmarked(self, job_id: str, infos: dict[str, ObjectInfo]) -> None:
        """Inputs without request or mark, as earlier versions left them when they were killed."""
        inputs = self._inputs(job_id, infos)
        if all(self._hand.is_older(infos[key], self._abandoned) for key in inputs):
            marked = self._hand.store.info(layout.pending(self._name, job_id)) is not None
            if inputs and not marked and self._hand.delete_all(inputs):
                self._hand.counts["uploads"] += 1

    def _results(self) -> None:
        if self._ages.results is None:
            return
        age = timedelta(days=self._ages.results)
        prefix = layout.results(self._name)
        for recipe, infos in self._hand.folders(prefix):
            with self._hand.passing_over(prefix + recipe):
                self._result(layout.commit(self._name, recipe), infos, age)

    def _result(self, key: str, infos: list[ObjectInfo], age: timedelta) -> None:
        """Files that were put since are kept: a job is storing the same result anew."""
        hand = self._hand
        commit = next((info for info in infos if info.key == key), None)
        if commit is None:
            age = max(age, self._abandoned)  # what is being stored has no commit yet
        elif not (hand.is_older(commit, age) and hand.is_older(hand.store.info(key), age)):
            return  # young, or renewed since it was listed
        elif not hand.delete(key):
            return
        files = [info.key for info in infos if info.key != key and hand.is_older(info, age)]
        if hand.store.info(key) is None and hand.delete_all(files):
            hand.counts["results"] += bool(files)


def _give_up(prefix: str, abandoned: timedelta, hand: _Hand) -> None:
    """The unfinished puts of keys under `prefix`; a list first, for the store pages through it."""
    with hand.passing_over(f"unfinished puts under {prefix}"):
        for put in list(hand.store.unfinished(prefix)):
            hand.check()
            if hand.now - put.begun > abandoned:
                with hand.passing_over(put.key):
                    hand.store.give_up(put)
                    hand.counts["puts"] += 1


@contextmanager
def _counting(total: Counter[str], what: str) -> Iterator[Counter[str]]:
    """Counts of one part, logged and added to the total however it ends."""
    counts: Counter[str] = Counter()
    try:
        yield counts
    finally:
        total.update(counts)
        if told := ", ".join(f"{number} {kind}" for kind, number in counts.items() if number):
            _log.info("expiry, %s: %s", what, told)


def _is_made_by(name: str, ms: int) -> bool:
    """Whether it is the id of a job that was made by then; False for a folder of others."""
    try:
        return created_ms(name) <= ms
    except ValueError:
        return False
