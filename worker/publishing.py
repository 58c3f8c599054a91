"""A job's result: found under its recipe, or stored there and committed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import starmap
from operator import attrgetter
from pathlib import Path

from core.archives.pack import Packed, zip_chunks
from core.canonical import digest, sha256_hex
from core.findings import first_of_each
from core.jobs import Commit, JobRequest, JobState, recipe_digest
from core.observing.traces import span
from core.render.html import render_html
from core.report import FileFacts, Report
from core.retention import commit_result, earlier_result
from core.store import layout
from core.store.layout import ADAPTER_ARCHIVE, ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION
from worker.adapter.files import file_facts
from worker.attesting import attest
from worker.fetching import Upload
from worker.workshop import Workshop

SHOWN_FINDINGS = 25  # with the job itself; a hostile adapter can have thousands


def committed(
    request: JobRequest, workshop: Workshop, digests: Mapping[str, str], names: Sequence[str]
) -> Commit | None:
    """What this tenant got for such files before, if all of it is there. Raises `StoreError`."""
    recipe = recipe_of(request, digests, names)
    ages = workshop.settings.retention.of(request.tenant)
    return earlier_result(workshop.records, request.tenant, recipe, ages, datetime.now(UTC))


def recipe_of(request: JobRequest, digests: Mapping[str, str], names: Sequence[str]) -> str:
    """Of files with these SHA-256 by name, and of others that only their `names` are known of."""
    return recipe_digest(
        dict(digests),
        request.alignment,
        request.policy,
        below_floor=request.below_floor,
        other_names=names,
    )


def publish(
    request: JobRequest, workshop: Workshop, upload: Upload, report: Report, output: Path
) -> Commit:
    """Store the files under their own digest, then name them in one conditional put."""
    recipe = recipe_of(request, upload.digests, upload.files.other_names)
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
        job=request.id,
    )
    ages = workshop.settings.retention.of(request.tenant)
    with span("commit"):
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
