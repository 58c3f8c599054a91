"""Adapters scored by a gate, to choose a setting by: what `safelora-gate calibrate` asks."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import httpx2
from pydantic import BaseModel, ValidationError

from app.client import (
    PATIENCE_SECONDS,
    Answer,
    GateFailed,
    NoAnswer,
    OrderRefused,
    Show,
    parsed,
)
from core.calibration.measured import Kind, Measured
from core.errors import GateError
from core.findings import Finding, refusals
from core.jobs import JobState
from core.policy import Policy
from core.report import Report
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL

POLL_SECONDS = 1.0
_LONG_POLL: Final = "20"  # below the client's own timeout
_UNPROCESSABLE: Final = 422
_PARTS: Final = {"adapter": ADAPTER_MODEL, "config": ADAPTER_CONFIG}


class AdapterRefused(GateError):
    """An adapter cannot be compared, since the gate does not let it in."""

    code = "adapter_rejected"

    def __init__(self, folder: str, findings: Sequence[Finding]) -> None:
        super().__init__(
            f"the gate rejects {folder}, so that nothing was written: mend the adapter, or leave it"
            " out"
        )
        self.findings = refusals(findings)


class AdapterTwice(GateError):
    """The same files were given as two adapters."""

    code = "adapter_given_twice"


class AlignmentChanged(GateError):
    """The adapters were not all judged by the same alignment."""

    code = "alignment_changed"


@dataclass(frozen=True)
class Folder:
    """An adapter on this machine, and what the operator says of it."""

    path: Path
    name: str
    kind: Kind


class Alignment(BaseModel):
    """What is needed of `GET /v1/alignments/{name}`."""

    name: str
    state: Literal["building", "ready", "failed"]
    id: str | None
    rank: int
    default_policy: Policy


class _Failure(BaseModel):
    code: str
    message: str


class _Job(BaseModel):
    """What is needed of a job."""

    id: str
    state: JobState
    error: _Failure | None


def find_folders(paths: Sequence[Path], kind: Kind) -> Iterator[Folder]:
    """Each path that is an adapter, or else the adapters right under it, by name.

    Raises `ValueError` where there is none.
    """
    for path in paths:
        inside = [path] if _is_adapter(path) else sorted(filter(_is_adapter, path.glob("*/")))
        if not inside:
            raise ValueError(
                f"{path} holds no {ADAPTER_MODEL} with {ADAPTER_CONFIG}, nor does a folder in it"
            )
        for folder in inside:
            yield Folder(folder, folder.resolve().name, kind)


def _is_adapter(path: Path) -> bool:
    return all((path / name).is_file() for name in _PARTS.values())


def ready_alignment(client: httpx2.Client, name: str) -> Alignment:
    """Raises `OrderRefused` (`alignment_not_ready` too), `NoAnswer` or `GateFailed`."""
    try:
        found = parsed(client.get(f"/v1/alignments/{name}"), Alignment)
    except httpx2.TransportError as error:
        raise NoAnswer(f"the gate does not answer: {error}") from error
    if found.id is None:
        raise OrderRefused(
            f"the alignment {name} is {found.state}: calibrate once it is ready",
            code="alignment_not_ready",
        )
    return found


@dataclass(frozen=True)
class Laboratory:
    """A gate that scores adapters under one alignment.

    Seconds: `poll` between two tries, `patience` without an answer.
    """

    client: httpx2.Client
    alignment: Alignment
    poll: float = POLL_SECONDS
    patience: float = PATIENCE_SECONDS

    def measure(
        self, folders: Sequence[Folder], probes: Sequence[Policy], show: Show
    ) -> list[Measured]:
        """Every adapter under every probe, in order.

        All are posted before the first is waited for, so that several workers share them. Raises
        `AdapterRefused`, `AdapterTwice`, `AlignmentChanged`, `OrderRefused`, `NoAnswer` or
        `GateFailed`.
        """
        posted = [[self._post(folder, probe) for probe in probes] for folder in folders]
        total, done = len(folders) * len(probes), 0
        measured: list[Measured] = []
        for folder, jobs in zip(folders, posted, strict=True):
            reports = []
            for job in jobs:
                show(done, total)
                reports.append(self._report(folder, job))
                done += 1
            rows = [report.modules for report in reports]
            measured.append(Measured(folder.name, folder.kind, reports[0].input.files, rows))
        _check_distinct(measured)
        return measured

    def _post(self, folder: Folder, probe: Policy) -> _Job:
        fields = {
            "alignment": self.alignment.name,
            "policy": json.dumps(probe.as_json()),
        }
        headers = {"Idempotency-Key": uuid4().hex}  # an answer may be lost, and the job be there

        def send() -> httpx2.Response:
            with ExitStack() as stack:
                files = {
                    part: (name, stack.enter_context((folder.path / name).open("rb")))
                    for part, name in _PARTS.items()
                }
                response = self.client.post("/v1/jobs", data=fields, files=files, headers=headers)
            _check_let_in(response, folder)
            return response

        return self._asked(send, _Job)

    def _report(self, folder: Folder, job: _Job) -> Report:
        """Of the job, once it has ended."""
        url = f"/v1/jobs/{job.id}"
        while not job.state.final:
            job = self._asked(lambda: self.client.get(url, params={"wait": _LONG_POLL}), _Job)
        if job.state not in (JobState.SUCCEEDED, JobState.REJECTED):
            why = f"{job.error.code}: {job.error.message}" if job.error else "run the command again"
            raise GateFailed(f"scoring {folder.path} {job.state}: {why}", code="adapter_not_scored")
        report = self._asked(lambda: self.client.get(f"{url}/report.json"), Report)
        if report.verdict == "rejected":
            raise AdapterRefused(str(folder.path), report.findings)
        if report.alignment is None or report.alignment.id != self.alignment.id:
            raise AlignmentChanged(
                f"{self.alignment.name} was registered anew meanwhile: run the command again"
            )
        return report

    def _asked(self, send: Callable[[], httpx2.Response], model: type[Answer]) -> Answer:
        """The answer, asked for again while the gate is away."""
        heard = time.monotonic()
        while True:
            try:
                return parsed(send(), model)
            except (httpx2.TransportError, NoAnswer) as error:
                if time.monotonic() - heard > self.patience:
                    raise NoAnswer(
                        f"the gate no longer answers: {error}. What was scored is kept: run the"
                        " same command again once it does"
                    ) from error
            time.sleep(self.poll)


class _Rejection(BaseModel):
    """What is needed of the answer to weights with a wrong header."""

    code: Literal["adapter_rejected"]
    findings: list[Finding]


def _check_let_in(response: httpx2.Response, folder: Folder) -> None:
    """Raises `AdapterRefused` where the gate would not even make it a job."""
    if response.status_code == _UNPROCESSABLE:
        try:
            rejection = _Rejection.model_validate_json(response.content)
        except ValidationError:
            return  # refused for another reason, which whoever reads the answer finds
        raise AdapterRefused(str(folder.path), rejection.findings)


def write_policy(client: httpx2.Client, name: str, policy: Policy) -> None:
    """Make it the alignment's default policy. Raises `OrderRefused`, `NoAnswer` or `GateFailed`."""
    body = {"default_policy": policy.as_json()}
    try:
        parsed(client.patch(f"/v1/alignments/{name}", json=body), Alignment)
    except httpx2.TransportError as error:
        raise NoAnswer(f"the gate does not answer: {error}") from error


def _check_distinct(adapters: Sequence[Measured]) -> None:
    seen: dict[tuple[str, ...], Measured] = {}
    for adapter in adapters:
        digests = tuple(sorted(file.sha256 for file in adapter.files))
        if digests in seen:
            first = seen[digests]
            raise AdapterTwice(
                f"{first.kind} {first.name} and {adapter.kind} {adapter.name} are the same files:"
                " leave one out"
            )
        seen[digests] = adapter
