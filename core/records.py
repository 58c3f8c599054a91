"""Jobs, results and alignment names as the object store holds them: the truth of the service."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from core.alignments import AlignmentPolicies, AlignmentRecord
from core.errors import RecordUnreadable, StoreError
from core.jobs import Commit, JobRequest, JobResult
from core.store import layout
from core.store.base import ObjectExists, ObjectMissing, ObjectStore
from core.uploads import UploadRecord
from core.webhooks.outbox import Outbox

_log = logging.getLogger(__name__)

Record = TypeVar("Record", bound=BaseModel)


class Records:
    """Typed reading and writing of the small JSON objects. All methods may raise `StoreError`."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.outbox = Outbox(store)

    def announce(self, tenant: str, job_id: str) -> None:
        """Mark a job as pending before anything of it is stored: what a killed process leaves half
        accepted is found by its mark."""
        self.store.put(layout.pending(tenant, job_id), b"")

    def accept(self, request: JobRequest) -> None:
        """Store the request, after its mark and its input: from here it is kept."""
        self.store.put(
            layout.job_request(request.tenant, request.id), request.as_bytes(), if_absent=True
        )

    def request(self, tenant: str, job_id: str) -> JobRequest | None:
        return self._read(layout.job_request(tenant, job_id), JobRequest)

    def result(self, tenant: str, job_id: str) -> JobResult | None:
        return self._read(layout.job_result(tenant, job_id), JobResult)

    def finish(
        self,
        tenant: str,
        job_id: str,
        result: JobResult,
        *,
        told: Callable[[], None] | None = None,
    ) -> JobResult:
        """Record how the job ended; the first word stands, is put into the outbox, and is returned.

        `told` is called as soon as it stands: who waits for it need not wait for the rest. Of a job
        that was removed meanwhile nothing is kept.
        """
        key = layout.job_result(tenant, job_id)
        standing: JobResult | None = result
        try:
            self.store.put(key, result.as_bytes(), if_absent=True)
        except ObjectExists:
            standing = self._read(key, JobResult)
        if standing is None:
            self.forget_pending(tenant, job_id)
            raise StoreError(f"{key} was there and is gone", code="object_missing")
        if told is not None:
            told()
        self.settle(tenant, job_id, standing)
        if self.store.info(layout.job_request(tenant, job_id)) is None:
            self.store.delete(key)
        return standing

    def settle(self, tenant: str, job_id: str, standing: JobResult) -> None:
        """What follows once a job's result stands; who finds that somebody died before it was done
        does it again. The mark goes last, by which that is found."""
        request = self.request(tenant, job_id)
        if request is not None:
            self.outbox.tell(request, standing)
        self.forget_pending(tenant, job_id)

    def remove(self, tenant: str, job_id: str) -> None:
        """Take away a job that has ended, with its input; results that are shared stay.

        In the order of expiry, so that a process may die after any delete.
        """
        request, result = layout.job_records(tenant, job_id)
        listed = list(self.store.list(f"{layout.job(tenant, job_id)}/"))
        self.forget_pending(tenant, job_id)
        for key in (*(key for key in listed if key not in (request, result)), request):
            self.store.delete(key)
        self.outbox.forget(tenant, job_id)  # what was put since it was listed; no more can be now
        self.store.delete(result)

    def commit(self, tenant: str, commit: Commit) -> Commit:
        """Name the winner of a recipe: the first commit stands, and is returned; if that is this
        one, as the same object."""
        key = layout.commit(tenant, commit.recipe)
        standing: Commit | None = commit
        try:
            self.store.put(key, commit.as_bytes(), if_absent=True)
        except ObjectExists:
            standing = self._read(key, Commit)
        if standing is None:
            raise StoreError(f"{key} was there and is gone", code="object_missing")
        return standing

    def committed(self, tenant: str, recipe: str) -> Commit | None:
        return self._read(layout.commit(tenant, recipe), Commit)

    def job_ids(self, tenant: str, *, after: str = "") -> Iterator[str]:
        """Newest first; those older than job `after` if given."""
        prefix = layout.jobs(tenant)
        suffix = "/request.json"
        start = layout.job_request(tenant, after) if after else ""
        for key in self.store.list(prefix, after=start):
            if key.endswith(suffix):
                yield key.removeprefix(prefix).removesuffix(suffix)

    def pending(self) -> Iterator[tuple[str, str]]:
        """(tenant, job id) of every job that has not ended."""
        for tenant in self.store.folders(layout.tenants()):
            prefix = layout.all_pending(tenant)
            for key in self.store.list(prefix):
                yield tenant, key.removeprefix(prefix)

    def forget_pending(self, tenant: str, job_id: str) -> None:
        """Take away the mark of a job that has ended."""
        self.store.delete(layout.pending(tenant, job_id))

    def save_upload(self, record: UploadRecord) -> None:
        """What is announced, before any of it comes."""
        key = layout.upload_record(record.tenant, record.id)
        self.store.put(key, record.as_bytes(), if_absent=True)

    def upload(self, tenant: str, upload_id: str) -> UploadRecord | None:
        return self._read(layout.upload_record(tenant, upload_id), UploadRecord)

    def remove_upload(self, tenant: str, upload_id: str) -> None:
        """With all that came of it; the record goes last, by which the rest is found."""
        last = layout.upload_record(tenant, upload_id)
        listed = list(self.store.list(f"{layout.upload(tenant, upload_id)}/"))
        for key in (*(key for key in listed if key != last), last):
            self.store.delete(key)

    def alignment(self, name: str) -> AlignmentRecord | None:
        """What the name stands for: its registration, or how the build of that ended, under the
        policies that it was given since."""
        registered = self._read(layout.alignment_name(name), AlignmentRecord)
        if registered is None:
            return None
        standing = registered
        if registered.state == "building":
            standing = self._read(_outcome(registered), AlignmentRecord) or registered
        given = self._read(_policies(registered), AlignmentPolicies)
        return standing if given is None else standing.under(given)

    def alignment_names(self) -> Iterator[str]:
        prefix = layout.alignment_names()
        for key in self.store.list(prefix):
            yield key.removeprefix(prefix).removesuffix(".json")

    def alignments(self) -> Iterator[AlignmentRecord]:
        """Those that can be read; the log names the others."""
        for name in self.alignment_names():
            try:
                record = self.alignment(name)
            except RecordUnreadable as error:
                _log.error("left out of the list: %s", error)
                continue
            if record is not None:
                yield record

    def save_alignment(self, record: AlignmentRecord, *, if_absent: bool = False) -> None:
        """Raises `ObjectExists` if asked to create a name that is taken."""
        self.store.put(layout.alignment_name(record.name), record.as_bytes(), if_absent=if_absent)

    def finish_build(self, record: AlignmentRecord) -> AlignmentRecord | None:
        """Record how the build of one registration ended; the first word stands.

        Returns what the name stands for now: another registration, or None, if this one was
        removed. Its own word is then of use to nobody, and taken away.
        """
        with contextlib.suppress(ObjectExists):
            self.store.put(_outcome(record), record.as_bytes(), if_absent=True)
        standing = self.alignment(record.name)
        if standing is None or standing.created_at != record.created_at:
            self.store.delete(_outcome(record))
        return standing

    def give_policies(
        self, record: AlignmentRecord, policies: AlignmentPolicies
    ) -> AlignmentRecord | None:
        """Have one registration judged by these from now on; of two such calls the last one stands.

        Returns what the name stands for now: another registration, or None, if this one was
        removed. They lie beside the registration, so that none is ever brought back or replaced,
        and go with it.
        """
        self.store.put(_policies(record), policies.as_bytes())
        standing = self.alignment(record.name)
        if standing is None or standing.created_at != record.created_at:
            self.store.delete(_policies(record))
        return standing

    def remove_alignment(self, name: str) -> None:
        """Only the name: the files may serve other names, and jobs that pinned the id."""
        registered = self._read(layout.alignment_name(name), AlignmentRecord)
        self.store.delete(layout.alignment_name(name))
        if registered is not None:
            self.store.delete(_outcome(registered))
            self.store.delete(_policies(registered))

    def _read(self, key: str, model: type[Record]) -> Record | None:
        try:
            return model.model_validate_json(self.store.get(key))
        except ObjectMissing:
            return None
        except ValidationError as error:
            raise RecordUnreadable(
                f"{key} is not a {model.__name__} of this version ({error.error_count()} problems):"
                " restore it or remove it"
            ) from error


def is_settled(standing: AlignmentRecord | None, record: AlignmentRecord) -> bool:
    """Whether nobody waits for the build of `record` any more: the name was removed or registered
    anew since, or another run of the same build came first."""
    return (
        standing is None or standing.state != "building" or standing.created_at != record.created_at
    )


def _outcome(record: AlignmentRecord) -> str:
    return layout.build_outcome(record.name, record.created_at)


def _policies(record: AlignmentRecord) -> str:
    return layout.alignment_policies(record.name, record.created_at)
