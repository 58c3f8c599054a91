"""The tasks a worker runs, each by the name it has on the queue, and how each error ends a job."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rq.timeouts import JobTimeoutException

from core.alignments import AlignmentRecord
from core.errors import GateError, StoreError
from core.findings import printable
from core.jobs import JobFailure, JobRequest, JobResult, JobState, now
from core.observing.traces import span
from core.queue import BUILD_ALIGNMENT, SANITIZE, JobQueue, build_id
from worker.alignment.registration import register
from worker.alignment.wanted import Removed, Wanted
from worker.company import Company
from worker.delivery import deliver
from worker.following import JobLine, Line, following
from worker.interrupts import Cancelled, Drained, Interrupts, StoreAway
from worker.job import run_job
from worker.tracking import Tracker
from worker.workshop import Workshop

Task = Callable[..., None]
TRANSIENT: Final = (StoreError, OSError)  # another attempt may find the store or disk well again
SOURCE_UNAVAILABLE: Final = "source_unavailable"
DESTINATION_UNAVAILABLE: Final = "destination_unavailable"
REST_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Tasks:
    """One process's tasks, run one at a time."""

    def __init__(self, workshop: Workshop, queue: JobQueue, interrupts: Interrupts) -> None:
        self.workshop = workshop
        self.queue = queue
        self.interrupts = interrupts
        self._store_was_away = False

    @property
    def by_name(self) -> Mapping[str, Task]:
        """The allow-list: no other name that comes out of Redis is ever run."""
        return {SANITIZE: self.sanitize, BUILD_ALIGNMENT: self.build_alignment}

    def sanitize(self, *, tenant: str, job_id: str, attempts_left: int) -> None:
        """Run one job to its end and record it. Raises only where another attempt may help."""
        records = self.workshop.records
        with self._patience(attempts_left):
            request = records.request(tenant, job_id)
            if request is None:
                _log.error("job %s of tenant %s is not in the store", job_id, tenant)
                return
            earlier = records.result(tenant, job_id)
            if earlier is not None:
                records.settle(tenant, job_id, earlier)
                return  # delivered twice: the first run's word stands
            with tempfile.TemporaryDirectory(dir=self.workshop.scratch.folder) as folder:
                self._run(request, attempts_left, Path(folder))

    def _run(self, request: JobRequest, attempts_left: int, folder: Path) -> None:
        """With what waits for the same alignment, of which all is published once this has ended."""
        first = attempts_left >= self.queue.settings.attempts - 1
        company = Company(request, self.queue, self.workshop, folder / "others", first)
        line = JobLine(self.queue, self.workshop.records, request.tenant, request.id)
        begun = time.time()
        with following(line, self.interrupts) as tracker:
            result = self._result(request, tracker, attempts_left, folder / "own", company)
            with span("finish", state=result.state):
                standing = self.workshop.records.finish(
                    request.tenant, request.id, result, told=line.end
                )
        self.workshop.metrics.ended(request, standing, begun, time.time() - begun)
        _log.info("job %s of tenant %s: %s", request.id, request.tenant, standing.state)
        if company.came_along:
            with span("company"):
                company.publish(stop=self.interrupts.drain.is_set)

    def build_alignment(self, *, name: str, attempts_left: int) -> None:
        """Build what the name stands for and record it. Raises only where another attempt may help.

        A name that is given to another pair meanwhile is built for that one too: the queue took no
        second task for the name while this one ran.
        """
        with self._patience(attempts_left):
            record = self.workshop.records.alignment(name)
            while record is not None and record.state == "building":
                record = self._built(record, attempts_left)
                self.workshop.metrics.builds.labels(_state(record)).inc()
                _log_build(name, record)

    def rest(self) -> None:
        """Until the store answers no other job is taken: it would only be put back too."""
        while self._store_was_away and not self.interrupts.drain.wait(REST_SECONDS):
            self.workshop.heartbeat.beat()
            self._store_was_away = not self._store_answers()

    def _built(self, record: AlignmentRecord, attempts_left: int) -> AlignmentRecord | None:
        """What the name stands for once this build has ended; None if it was removed."""
        records = self.workshop.records
        wanted = Wanted(record, records)

        def step(done: int, total: int) -> None:
            tracker.step("build", done, total)
            wanted.check()

        try:
            line = Line(self.queue, build_id(record.name))
            with following(line, self.interrupts) as tracker:
                cache = self.workshop.settings.alignments.cache
                files_at = self.workshop.checkpoint_files
                standing = register(record, records, files_at, cache, step=step)
            self.workshop.make_room()
        except Removed:
            return records.alignment(record.name)
        except (Cancelled, Drained):
            raise
        except Exception as error:
            if self._may_pass(error, attempts_left):
                raise
            _log_failure(f"alignment {record.name}", error)
            failure = _failure(error)
            return records.finish_build(record.as_failed(failure.code, failure.message, now()))
        return standing

    def _result(
        self,
        request: JobRequest,
        tracker: Tracker,
        attempts_left: int,
        folder: Path,
        company: Company,
    ) -> JobResult:
        started = now()
        try:
            folder.mkdir()
            commit = run_job(request, self.workshop, tracker, folder, company)
            if request.destination is not None:
                deliver(request, request.destination, commit, self.workshop, tracker)
        except Cancelled:
            return JobResult(state=JobState.CANCELLED, started_at=started, finished_at=now())
        except Drained:
            raise
        except Exception as error:
            beside_others = company.came_along and attempts_left > 0  # alone it may end well
            if beside_others or self._may_pass(error, attempts_left):
                raise
            _log_failure(f"job {request.id}", error)
            return JobResult(
                state=JobState.FAILED,
                started_at=started,
                finished_at=now(),
                error=_failure(error),
                timings=tracker.finish(),
            )
        return JobResult(
            state=commit.state,
            started_at=started,
            finished_at=now(),
            recipe=commit.recipe,
            commit=commit,
            timings=tracker.finish(),
        )

    def _may_pass(self, error: Exception, attempts_left: int) -> bool:
        """Whether another attempt may find the store or the disk well again."""
        if not isinstance(error, TRANSIENT):
            return False
        return attempts_left > 0 or self._is_away(error)

    def _is_away(self, error: Exception) -> bool:
        """Whether the whole store is away, as it is found once until `rest`."""
        outage = isinstance(error, StoreError) and error.code == StoreError.code
        if outage and not self._store_was_away:
            self._store_was_away = not self._store_answers()
        return outage and self._store_was_away

    @contextmanager
    def _patience(self, attempts_left: int) -> Iterator[None]:
        """Before another attempt a pause, longer each time; none is spent while the store is away:
        that is `StoreAway`."""
        try:
            yield
        except TRANSIENT as error:
            if self._is_away(error):
                raise StoreAway from error
            spent = max(0, self.queue.settings.attempts - 1 - attempts_left)
            if attempts_left > 0:
                self.interrupts.drain.wait(self.queue.settings.retry_pause * 2**spent)
            raise

    def _store_answers(self) -> bool:
        try:
            self.workshop.store.check()
        except StoreError as error:
            _log.warning("the object store is away: %s", error)
            return False
        return True


def _state(standing: AlignmentRecord | None) -> str:
    """Of a build that came to its end: one that is void was of a name that is another's by now."""
    return "void" if standing is None or standing.state == "building" else standing.state


def _log_build(name: str, standing: AlignmentRecord | None) -> None:
    if standing is None:
        _log.info("alignment %s: removed meanwhile", name)
    elif standing.state == "building":
        _log.info("alignment %s: registered anew meanwhile", name)
    else:
        _log.info("alignment %s: %s", name, standing.state)
        for warning in standing.warnings:
            _log.warning("alignment %s: %s: %s", name, warning.code, warning.message)


def _log_failure(what: str, error: Exception) -> None:
    """A line for what its sender can mend; for all else where it happened, too."""
    if isinstance(error, GateError) and error.status < 500:
        _log.warning("%s failed: %s: %s", what, error.code, printable(error.message))
    else:
        _log.error("%s failed", what, exc_info=error)


def _failure(error: Exception) -> JobFailure:
    """What the caller is told: our own errors' words; of anything else only that the log has it."""
    if isinstance(error, StoreError) and error.code == SOURCE_UNAVAILABLE:
        return JobFailure(
            code=error.code,
            message="what was to be read, in S3 or on a hub, could not be reached: retry later",
        )
    if isinstance(error, StoreError) and error.code == DESTINATION_UNAVAILABLE:
        return JobFailure(
            code=error.code,
            message="the destination could not be reached, and has no manifest yet; retry later",
        )
    if isinstance(error, StoreError):  # its message names keys, which are the operator's business
        return JobFailure(
            code=error.code, message="the object store failed the worker; retry the job later"
        )
    if isinstance(error, GateError):
        return JobFailure(code=error.code, message=error.message)
    if isinstance(error, JobTimeoutException):
        return JobFailure(
            code="job_timeout",
            message="the work took longer than the operator allows (SAFELORA_QUEUE__JOB_TIMEOUT,"
            " or __BUILD_TIMEOUT for alignments)",
        )
    if isinstance(error, OSError):
        return JobFailure(
            code="os_error", message=f"the worker's disk failed it: {error.strerror}; retry later"
        )
    return JobFailure(
        code="internal_error",
        message="the worker failed in a way nobody foresaw; its log has this job's id",
    )
