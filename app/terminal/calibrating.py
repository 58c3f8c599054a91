"""Adapters scored by a gate, to choose a setting by: what `safelora-gate calibrate` asks."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from app.terminal.gates import once_it_answers
from app.terminal.output import Show
from core.calibration.measured import Kind, Measured
from core.errors import AdapterRejected, GateError
from core.findings import Finding, refusals
from core.policy import Policy
from core.report import Report
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from safelora import Gate, GateFailed, Job, NoGate, RequestRefused

Model = TypeVar("Model", bound=BaseModel)
_FILES: Final = (ADAPTER_MODEL, ADAPTER_CONFIG)


class _Rejection(BaseModel):
    """What is needed of the answer to weights with a wrong header."""

    findings: list[Finding]


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
    """What is needed of an alignment that is ready."""

    name: str
    id: str
    rank: int
    default_policy: Policy


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
    return all((path / name).is_file() for name in _FILES)


def ready_alignment(gate: Gate, name: str) -> Alignment:
    """Raises `RequestRefused` (`alignment_not_ready` too), or another error of the gate's."""
    found = gate.alignment(name)
    if not found.ready:
        raise RequestRefused(
            f"the alignment {name} is {found.state}: calibrate once it is ready",
            code="alignment_not_ready",
        )
    return _read(Alignment, found.model_dump_json())


@dataclass(frozen=True)
class Laboratory:
    """A gate that scores adapters under one alignment."""

    gate: Gate
    alignment: Alignment

    def measure(
        self, folders: Sequence[Folder], probes: Sequence[Policy], show: Show
    ) -> list[Measured]:
        """Every adapter under every probe, in order.

        All are posted before the first is waited for, so that several workers share them. Raises
        `AdapterRefused`, `AdapterTwice`, `AlignmentChanged`, or an error of the gate's.
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

    def _post(self, folder: Folder, probe: Policy) -> Job:
        try:
            with once_it_answers("What was scored is kept"):
                return self.gate.submit(
                    folder.path, alignment=self.alignment.name, policy=probe.as_json()
                )
        except RequestRefused as error:
            if error.code != AdapterRejected.code:
                raise
            raise AdapterRefused(str(folder.path), _findings(error)) from error

    def _report(self, folder: Folder, job: Job) -> Report:
        """Of the job, once it has ended."""
        with once_it_answers("What was scored is kept"):
            job = self.gate.wait(job)
            if job.state not in ("succeeded", "rejected"):
                why = f"{job.error.code}: {job.error.message}" if job.error else "run it again"
                words = f"scoring {folder.path} {job.state}: {why}"
                raise GateFailed(words, code="adapter_not_scored")
            report = _read(Report, self.gate.report_bytes(job))
        if report.verdict == "rejected":
            raise AdapterRefused(str(folder.path), report.findings)
        if report.alignment is None or report.alignment.id != self.alignment.id:
            raise AlignmentChanged(
                f"{self.alignment.name} was registered anew meanwhile: run the command again"
            )
        return report


def _findings(error: RequestRefused) -> Sequence[Finding]:
    """Of weights that the gate would not make a job of."""
    return _read(_Rejection, json.dumps(error.problem)).findings


def _read(model: type[Model], data: str | bytes) -> Model:
    """Raises `NoGate`: a gate of another version may say what this one does not know."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise NoGate("the gate is of another version: calibrate with the one it has") from error


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
