"""The client that blocks."""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from safelora import about, alignments, fetching, following, jobs
from safelora.address import find_address
from safelora.alignments import SeenAlignment
from safelora.driver import Driver
from safelora.jobs import LONG_POLL, SeenJob
from safelora.models import Alignment, Delivery, Event, Job, Report
from safelora.patience import Patience
from safelora.sources import Source, order
from safelora.wire import Terms


class Gate:
    """A gate, by its address and a key.

    `url` and `key` come from SAFELORA_URL and SAFELORA_KEY if they are not given. `timeout`:
    seconds without a byte. Over http:// a key is sent to this machine alone, unless `allow_http`.
    `http` is a client of yours to send with; it stays open. A context manager. Every method raises
    a `GateError`: `RequestRefused`, `GateFailed`, `Unavailable` or `NoGate`, and what it names.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: Patience | None = None,
        allow_http: bool = False,
        http: httpx2.Client | None = None,
    ) -> None:
        address = find_address(url, key, allow_http=allow_http)
        self._terms = Terms(address, patience or Patience(), timeout)
        # No proxy is asked for the way to this machine.
        self._http = http or httpx2.Client(trust_env=not address.local)
        self._owns_http = http is None
        self._driver = Driver(self._http)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return self._terms.address.url

    def close(self) -> None:
        if self._owns_http:
            self._http.close()

    def version(self) -> str:
        """The gate's. Asked once, without patience: it tells whether a gate is there at all."""
        return self._driver.run(about.version(self._terms))

    # Jobs

    def submit(
        self,
        source: Source,
        *,
        alignment: str | None = None,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        destination: str | None = None,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Post an adapter: a folder, its two files, an archive (a path, or bytes), a mapping of
        part names to paths or bytes, or a text that begins with `s3://`, `upload:` or `job:`.

        Of a folder the two files of an adapter are sent, and nothing else. Files are read as they
        are sent. However often it has to be sent, one job comes of it; under an `idempotency_key`
        of yours, one job of several calls. Raises `UsageError` or `OSError` too.
        """
        call = order(
            source,
            alignment=alignment,
            policy=policy,
            metadata=metadata,
            destination=destination,
            callback_url=callback_url,
            idempotency_key=idempotency_key,
        )
        return self._driver.run(jobs.submit(self._terms, call))

    def job(self, job: str | Job) -> Job:
        """The job as it is now."""
        return self._driver.run(jobs.get(self._terms, job))

    def wait(
        self,
        job: str | Job,
        *,
        timeout: float | None = None,
        poll: float = LONG_POLL,
        seen: SeenJob | None = None,
    ) -> Job:
        """The job once it has ended, whatever its state is then: look at `state` or `published`.

        Seconds: `timeout` for all, `poll` between two looks, each told to `seen`. Raises `TooLate`.
        """
        return self._driver.run(jobs.wait(self._terms, job, timeout, poll, seen))

    def events(self, job: str | Job, *, last: str = "") -> Iterator[Event]:
        """What happens to the job until it has ended, after the event with the id `last`.

        A cut connection is taken up again where it was.
        """
        return self._driver.each(following.events(self._terms, job, last))

    def jobs(self, *, state: str | None = None, alignment: str | None = None) -> Iterator[Job]:
        """Your jobs, newest first; page after page is asked for as you go on."""
        return self._driver.each(jobs.pages(self._terms, state, alignment))

    def cancel(self, job: str | Job) -> Job:
        return self._driver.run(jobs.cancel(self._terms, job))

    def retry(self, job: str | Job, *, idempotency_key: str | None = None) -> Job:
        """A new job that does a failed or cancelled one again."""
        return self._driver.run(jobs.retry(self._terms, job, idempotency_key))

    def delete(self, job: str | Job) -> None:
        """Take a job away that has ended, with its input."""
        self._driver.run(jobs.delete(self._terms, job))

    def deliveries(self, job: str | Job) -> list[Delivery]:
        """Who is told of the job's end, its callback and your webhooks, and what came of it."""
        return self._driver.run(jobs.deliveries(self._terms, job))

    # Results

    def report(self, job: str | Job) -> Report:
        return self._driver.run(jobs.report(self._terms, job))

    def report_bytes(self, job: str | Job, kind: Literal["json", "html"] = "json") -> bytes:
        """The report as the file that it is."""
        return self._driver.run(jobs.report_bytes(self._terms, job, kind))

    def download(self, job: str | Job, folder: str | PathLike[str]) -> list[Path]:
        """The sanitized adapter's files, checked against the SHA-256 of the report, and with them
        the attestation, of a job that has one: `safelora-gate verify` checks it.

        All of them lie in `folder` at the end, or none. Where the gate sends us to an object store,
        the key does not go there. Raises `DownloadDamaged` or `OSError` too.
        """
        return self._driver.run(fetching.download(self._terms, job, Path(folder)))

    # Alignments

    def alignments(self) -> list[Alignment]:
        return self._driver.run(alignments.every(self._terms))

    def alignment(self, name: str) -> Alignment:
        return self._driver.run(alignments.get(self._terms, name))

    def register(self, name: str, base: str, aligned: str, **fields: Any) -> Alignment:
        """Register a pair of checkpoints; `fields` are those of `POST /v1/alignments`.

        The same again is no error. Not sent again by itself.
        """
        order = {"name": name, "base": base, "aligned": aligned, **fields}
        return self._driver.run(alignments.register(self._terms, order))

    def set_policies(self, name: str, **policies: Mapping[str, Any] | None) -> Alignment:
        """Change `default_policy`, `floor` or both. Not sent again by itself."""
        return self._driver.run(alignments.judge(self._terms, name, policies))

    def wait_for_alignment(
        self,
        alignment: str | Alignment,
        *,
        timeout: float | None = None,
        poll: float = 1.0,
        seen: SeenAlignment | None = None,
    ) -> Alignment:
        """The alignment once it is ready; as registered, if what `register` returned is given.

        Seconds: `timeout` for all, `poll` between two looks, each told to `seen`. Raises
        `AlignmentFailed` or `TooLate`.
        """
        return self._driver.run(alignments.wait(self._terms, alignment, timeout, poll, seen))

    def delete_alignment(self, name: str) -> None:
        """Take the name away; jobs that were accepted under it go on."""
        self._driver.run(alignments.delete(self._terms, name))
