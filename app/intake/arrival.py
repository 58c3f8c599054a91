"""Files that go to the object store while they arrive, before it is known whether they make a job.

They lie where the input of a job of this id lies, its mark put before them: what a killed process
leaves is found by the mark and expires.
"""

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from starlette.concurrency import run_in_threadpool

from app.services import Services
from core.errors import RequestTimeout, StoreError
from core.jobs import InputFile, new_job_id
from core.store import layout
from core.store.base import ObjectWriter

_log = logging.getLogger(__name__)


@asynccontextmanager
async def closed_at_end(arrival: "Arrival") -> AsyncIterator[None]:
    """Whatever happens to the request."""
    try:
        yield
    finally:
        if arrival.has_something_left:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(arrival.close)


class Arrival:
    """The files of one request. All of it blocks; whoever makes one closes it."""

    def __init__(self, services: Services, tenant: str) -> None:
        self.job_id = new_job_id()
        self._store = services.store
        self._records = services.records
        self._tenant = tenant
        self._latest = time.monotonic() + services.settings.retention.abandoned * 3600 / 2
        self._marked = False
        self._kept = False
        self._open: list[ObjectWriter] = []

    def writer(self, name: str) -> ObjectWriter:
        """Takes one file of the input, until `commit` stores it or `close` aborts it. Raises
        `StoreError`."""
        if not self._marked:
            self._records.announce(self._tenant, self.job_id)
            self._marked = True
        writer = self._store.writer(self.key(name))
        self._open.append(writer)
        return writer

    def commit(self) -> None:
        """What has come is in the store from here on. Raises `StoreError`."""
        self._store.commit_all(self._open)
        self._open = []

    def has_announced(self, job_id: str) -> bool:
        """Whether it is this id whose mark was put; `inputs` sees to it that it is not too old."""
        return self._marked and job_id == self.job_id

    def key(self, name: str) -> str:
        return layout.job_input(self._tenant, self.job_id, name)

    def share(self) -> None:
        """From here on the id may be another request's too, by its Idempotency-Key: nothing that
        lies under it is taken back."""
        self._kept = True

    def inputs(
        self, job_id: str, files: Mapping[str, InputFile], *, needed: bool
    ) -> list[InputFile]:
        """The files as the input of job `job_id`: where they lie if it is this id's, else copies;
        nowhere unless `needed`.

        Of this id nothing is taken back any more, for whether the job was accepted may become
        unknown. Raises `RequestTimeout` if they came so slowly that the first may have expired, or
        `StoreError`.
        """
        if time.monotonic() > self._latest:
            raise RequestTimeout("the upload took too long: send it again, or over a better line")
        if needed:
            self.commit()
        self._kept = job_id == self.job_id
        return [self._input(job_id, files[name], needed=needed) for name in sorted(files)]

    @property
    def has_something_left(self) -> bool:
        """Whether `close` has anything to do."""
        return bool(self._open) or (self._marked and not self._kept)

    def drop(self) -> None:
        """Delete the files of a job that was accepted and needs none of them."""
        try:
            self._delete_files()
        except StoreError as error:
            _log.warning("what was sent for %s stays until it expires: %s", self.job_id, error)

    def close(self) -> None:
        """Take back what made no job; what cannot be deleted expires."""
        for writer in self._open:
            writer.abort()
        if self._kept or not self._marked:
            return
        try:
            self._delete_files()
            self._records.forget_pending(self._tenant, self.job_id)
        except StoreError as error:
            _log.warning("what was sent for %s stays until it expires: %s", self.job_id, error)

    def _input(self, job_id: str, file: InputFile, *, needed: bool) -> InputFile:
        key = layout.job_input(self._tenant, job_id, file.name) if needed else None
        if key is not None and job_id != self.job_id:
            self._store.copy(self.key(file.name), key)
        return file.model_copy(update={"key": key})

    def _delete_files(self) -> None:
        for key in list(self._store.list(layout.job_inputs(self._tenant, self.job_id))):
            self._store.delete(key)
