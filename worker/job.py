"""One job of the service: fetch its input, run the pipeline, publish the result, commit it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap
from operator import attrgetter
from pathlib import Path

from core.archives import unpack
from core.archives.pack import Packed, zip_chunks
from core.canonical import digest, sha256_hex
from core.errors import AdapterRejected, EngineError, Unprocessable
from core.findings import finding, first_of_each
from core.jobs import Commit, InputFile, JobRequest, JobState, recipe_digest
from core.render.html import render_html
from core.report import FileFacts, Report
from core.retention import commit_result, earlier_result
from core.sources import ARCHIVE_NAME
from core.store import layout
from core.store.layout import ADAPTER_ARCHIVE, ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION
from core.tenant_limits import upload_limit
from worker.adapter import AdapterFiles
from worker.adapter.files import file_facts
from worker.alignment.source import AlignmentSource
from worker.attesting import attest
from worker.pipeline import BaseNames, sanitize
from worker.reporting import rejection_report
from worker.tracking import Tracker
from worker.workshop import Workshop

SHOWN_FINDINGS = 25  # with the job itself; a hostile adapter can have thousands


@dataclass(frozen=True)
class Upload:
    """The input on disk. `digests`: SHA-256 by name of what came; `refusal` if it is an archive
    that was not opened."""

    files: AdapterFiles
    digests: Mapping[str, str]
    refusal: AdapterRejected | None = None


def run_job(request: JobRequest, workshop: Workshop, tracker: Tracker, folder: Path) -> Commit:
    """The committed result of this job's recipe: an earlier one's, another worker's, or ours.

    `folder` is empty and is the job's alone. Any error means that nothing was published.
    """
    known = {f.name: f.sha256 for f in request.files if f.sha256 is not None}
    if len(known) == len(request.files):
        earlier = _committed(request, workshop, known, request.other_names)
        if earlier is not None:
            return earlier
    with tracker.stage("fetch"):
        upload = _fetch(request, workshop, folder / "input")
    names = upload.files.other_names
    if upload.digests != known or names != tuple(request.other_names):
        earlier = _committed(request, workshop, upload.digests, names)
        if earlier is not None:
            return earlier
    output = folder / "output"
    output.mkdir()
    with workshop.alignment(request.alignment.id, request.alignment.name) as alignment:
        report = _report(request, alignment, upload, output, tracker)
    tracker.step("publish", 0, 0)
    with tracker.stage("publish"):
        recipe = _recipe(request, upload.digests, names)
        return _publish(request, workshop, recipe, report, output)


def _report(
    request: JobRequest, alignment: AlignmentSource, upload: Upload, output: Path, tracker: Tracker
) -> Report:
    """The pipeline's report; a rejected adapter has one too, and leaves no file in `output`."""
    known = tuple(request.alignment.base_names)
    names = BaseNames(written=known[0] if known else None, known=known)
    try:
        if upload.refusal is not None:
            raise upload.refusal
        return sanitize(
            upload.files, alignment, request.policy, output, base_names=names, tracker=tracker
        )
    except AdapterRejected as rejected:
        if any(output.iterdir()):
            raise EngineError(
                "a rejected adapter left files behind", code="rejected_after_write"
            ) from rejected
        return rejection_report(rejected, request.policy, upload.files, alignment)


def _fetch(request: JobRequest, workshop: Workshop, folder: Path) -> Upload:
    """The input on disk, its bytes those that were accepted, an archive unpacked."""
    folder.mkdir()
    tenant = request.tenant
    digests = {f.name: _fetch_file(f, tenant, workshop, folder / f.name) for f in request.files}
    if list(digests) == [ARCHIVE_NAME]:
        limit = upload_limit(workshop.settings, tenant)
        return _unpacked(folder, digests[ARCHIVE_NAME], limit)
    return Upload(AdapterFiles(folder, tuple(request.other_names)), digests)


def _unpacked(folder: Path, sha256: str, limit: int) -> Upload:
    archive, inside = folder / ARCHIVE_NAME, folder / "unpacked"
    inside.mkdir()
    try:
        unpacked = unpack(archive, inside, max_bytes=limit)
    except Unprocessable as error:
        found = finding("archive_refused", "file", ARCHIVE_NAME, f"{error.code}: {error.message}")
        # Of the limit too: under a higher one the same archive may be let in.
        digests = {f"{ARCHIVE_NAME} within {limit} bytes": sha256}
        return Upload(AdapterFiles(folder), digests, AdapterRejected([found]))
    files = AdapterFiles(inside, tuple(unpacked.other_names))
    return Upload(files, {name: file.sha256 for name, file in unpacked.files.items()})


def _fetch_file(file: InputFile, tenant: str, workshop: Workshop, path: Path) -> str:
    """Its SHA-256, made while it was written to `path`."""
    if file.uri is not None:
        return workshop.sources.fetch(file, path, tenant)
    if file.key is None:
        raise EngineError(
            f"{file.name} was not stored, for an earlier result answered it, and that result is"
            " gone: post the adapter again",
            code="input_missing",
        )
    sha256 = workshop.store.get_file(file.key, path)
    if file.expected_sha256 not in (None, sha256):
        raise Unprocessable(
            f"{file.name} is not the file that was announced: its SHA-256 differs; upload it again",
            code="upload_checksum_mismatch",
            field=file.name,
        )
    if file.sha256 not in (None, sha256):
        raise EngineError(
            f"the stored {file.name} is not the file that was accepted: its SHA-256 differs; check"
            " the store and post the adapter again",
            code="input_changed",
        )
    return sha256


def _committed(
    request: JobRequest, workshop: Workshop, digests: Mapping[str, str], names: Sequence[str]
) -> Commit | None:
    recipe = _recipe(request, digests, names)
    ages = workshop.settings.retention.of(request.tenant)
    return earlier_result(workshop.records, request.tenant, recipe, ages, datetime.now(UTC))


def _recipe(request: JobRequest, digests: Mapping[str, str], names: Sequence[str]) -> str:
    return recipe_digest(dict(digests), request.alignment, request.policy, other_names=names)


def _publish(
    request: JobRequest, workshop: Workshop, recipe: str, report: Report, output: Path
) -> Commit:
    """Store the files under their own digest, then name them in one conditional put."""
    reports = {
        layout.REPORT_JSON: report.as_bytes(),
        layout.REPORT_HTML: render_html(report),
    }
    files = sorted([*_adapter(report), *starmap(_facts, reports.items())], key=attrgetter("name"))
    output_digest = digest([[f.name, f.sha256] for f in files])[:40]
    signing_key = attest(  # after the digest: another key must not give the output another name
        workshop.settings.attestation,
        workshop.store,
        report,
        files,
        output,
        recipe=recipe,
        place=layout.output(request.tenant, recipe, output_digest, ATTESTATION),
    )
    if workshop.settings.store.kind == "s3" and report.output is not None:
        files.append(_archive(output))
    workshop.store.put_all(
        {
            layout.output(request.tenant, recipe, output_digest, file.name): reports.get(
                file.name, output / file.name
            )
            for file in files
        }
    )
    if signing_key is not None:  # which is stored already
        files.append(file_facts(output / ATTESTATION))
    commit = Commit(
        recipe=recipe,
        state=JobState.REJECTED if report.verdict == "rejected" else JobState.SUCCEEDED,
        verdict=report.verdict,
        output=output_digest,
        files=files,
        summary=report.summary,
        findings=first_of_each(report.findings, SHOWN_FINDINGS),
        findings_total=len(report.findings),
        signing_key=signing_key,
    )
    ages = workshop.settings.retention.of(request.tenant)
    return commit_result(workshop.records, request.tenant, commit, ages, datetime.now(UTC))


def _adapter(report: Report) -> Sequence[FileFacts]:
    """What the pipeline wrote, with the digests of what it verified."""
    return [] if report.output is None else report.output.files


def _facts(name: str, data: bytes) -> FileFacts:
    return FileFacts(name=name, size=len(data), sha256=sha256_hex(data))


def _archive(output: Path) -> FileFacts:
    """What is downloaded of it in one .zip, for callers that a presigned URL sends straight to S3:
    the two adapter files, and their attestation."""
    members = [
        Packed(path.name, path.stat().st_size, path.open("rb"))
        for path in (output / ADAPTER_CONFIG, output / ADAPTER_MODEL, output / ATTESTATION)
        if path.exists()
    ]
    path = output / ADAPTER_ARCHIVE
    with path.open("wb") as file:
        file.writelines(zip_chunks(members))
    return file_facts(path)
