"""For any jobs of any age and state: what should go goes, what should stay stays."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import Ages, RetentionSettings
from core.store import layout
from tests.worker.shelf import NOW, Shelf
from worker.expiry import ExpiryCounts, expire

# Quarters of days, and limits between them: no age is equal to a limit.
ages = st.integers(0, 240).map(lambda quarters: quarters / 4)
limits = st.none() | st.integers(0, 60).map(lambda days: days + 0.1)
tenants = st.sampled_from(["acme", "umbrella"])


@dataclass(frozen=True)
class Job:
    tenant: str
    ages: tuple[float, float]  # since it was made, since it ended
    has_ended: bool
    has_request: bool
    has_mark: bool

    @property
    def made(self) -> float:
        return max(self.ages)

    @property
    def ended(self) -> float | None:
        return min(self.ages) if self.has_ended else None


@dataclass(frozen=True)
class Result:
    tenant: str
    ages: tuple[float, float]  # since its files were stored, since its commit was put
    has_commit: bool


jobs = st.builds(Job, tenants, st.tuples(ages, ages), st.booleans(), st.booleans(), st.booleans())
results = st.builds(Result, tenants, st.tuples(ages, ages), st.booleans())
tenant_ages = st.builds(Ages, inputs=limits, results=limits, jobs=limits)
retentions = st.builds(
    RetentionSettings,
    inputs=limits,
    results=limits,
    jobs=limits,
    idempotency=limits,
    abandoned=st.integers(1, 72).map(lambda hours: hours + 0.1),
    tenants=st.dictionaries(st.just("umbrella"), tenant_ages, max_size=1),
)


def is_past(age: float, limit: float | None) -> bool:
    return limit is not None and age > limit


def left_of(job: Job, retention: RetentionSettings) -> set[str]:
    """Which of `inputs`, `records` and `mark` should be left."""
    limit, abandoned = retention.of(job.tenant), retention.abandoned / 24
    there = {"inputs"} | ({"mark"} if job.has_mark else set())
    if job.ended is not None and is_past(job.ended, limit.jobs):
        return {"mark"} & there if job.made <= abandoned else set()
    if job.ended is not None:
        gone = {"inputs"} if is_past(job.ended, limit.inputs) else set()
        if not job.has_request and job.made > abandoned:
            gone |= {"inputs", "mark"} if job.has_mark else set()
        return (there | {"records"}) - gone
    if job.has_request:
        return there | {"records"}
    looked_at = job.has_mark or is_past(
        job.made, min((d for d in (limit.inputs, limit.jobs) if d is not None), default=None)
    )
    return set() if looked_at and job.made > abandoned else there


def is_left(result: Result, retention: RetentionSettings) -> bool:
    limit = retention.of(result.tenant).results
    if result.has_commit:
        return not is_past(min(result.ages), limit)
    return limit is None or max(result.ages) <= max(limit, retention.abandoned / 24)


@settings(max_examples=150, deadline=None)
@given(
    jobs=st.lists(jobs, max_size=6),
    results=st.lists(results, max_size=3),
    claims=st.lists(ages, max_size=3),
    retention=retentions,
)
def test_what_goes_is_what_should(
    jobs: list[Job], results: list[Result], claims: list[float], retention: RetentionSettings
) -> None:
    """No unfinished job loses anything, what is kept is young, and a second run finds nothing."""
    with TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder))
        for_all = [(job, _put(shelf.root, job)) for job in jobs]
        recipes = [(result, _put_result(shelf.root, result)) for result in results]
        keys = [
            (age, shelf.put(layout.idempotency("acme", f"{n}"), age))
            for n, age in enumerate(claims)
        ]

        expire(shelf.store, retention, NOW)

        for job, job_id in for_all:
            left = Shelf(shelf.root, job.tenant).of_job(job_id)
            kinds = {
                "inputs" if k.startswith("input/") else "mark" if k == "mark" else "records"
                for k in left
            }
            assert kinds == left_of(job, retention), job
        for result, recipe in recipes:
            assert bool(shelf.of_result(recipe)) == is_left(result, retention), result
        for age, key in keys:
            assert (key in shelf.all_keys()) == (not is_past(age, retention.idempotency))
        kept = shelf.all_keys()
        assert expire(shelf.store, retention, NOW) == ExpiryCounts()
        assert shelf.all_keys() == kept


def _put(root: Path, job: Job) -> str:
    return Shelf(root, job.tenant).job(
        job.made, ended=job.ended, request=job.has_request, mark=job.has_mark
    )


def _put_result(root: Path, result: Result) -> str:
    """The files are older than the commit, which may have been renewed."""
    shelf = Shelf(root, result.tenant)
    recipe = shelf.result(max(result.ages), commit=min(result.ages))
    if not result.has_commit:
        shelf.store.delete(layout.commit(result.tenant, recipe))
    return recipe
