"""One job of the service: fetch its input, run the pipeline, publish the result, commit it."""

from collections.abc import Sequence
from pathlib import Path

from core.archives import unpack
from core.archives.pack import Packed, zip_chunks
from core.canonical import digest
from core.errors import AdapterRejected, EngineError
from core.jobs import Commit, InputFile, JobRequest, JobState, recipe_digest
from core.render.html import render_html
from core.report import FileFacts, Report
from core.sources import ARCHIVE_NAME
from core.store import layout
from core.store.layout import ADAPTER_ARCHIVE, ADAPTER_CONFIG, ADAPTER_MODEL
from worker.adapter import AdapterFiles
from worker.adapter.files import file_facts
from worker.pipeline import BaseNames, sanitize
from worker.reporting import rejection_report
from worker.tracking import Tracker
from worker.workshop import Workshop


def run_job(request: JobRequest, workshop: Workshop, tracker: Tracker, folder: Path) -> Commit:
    """The committed result of this job's recipe: an earlier one's, another worker's, or ours.

    `folder` is empty and is the job's alone. Any error means that nothing was published.
    """
    with tracker.stage("fetch"):
        upload = _fetch(request, workshop, folder / "input")
    recipe = _recipe(request, upload)
    earlier = workshop.records.committed(request.tenant, recipe)
    if earlier is not None:
        return earlier
    output = folder / "output"
    output.mkdir()
    report = _judge(request, workshop, upload, output, tracker)
    (output / layout.REPORT_JSON).write_bytes(report.as_bytes())
    (output / layout.REPORT_HTML).write_bytes(render_html(report))
    with tracker.stage("publish"):
        return _publish(request, workshop, recipe, report, output)


def _judge(
    request: JobRequest, workshop: Workshop, upload: AdapterFiles, output: Path, tracker: Tracker
) -> Report:
    """The pipeline's report; a rejected adapter has one too, and leaves no file in `output`."""
    alignment = workshop.alignment(request.alignment.id, request.alignment.name)
    known = tuple(request.alignment.base_names)
    names = BaseNames(written=known[0] if known else None, known=known)
    try:
        return sanitize(
            upload, alignment, request.policy, output, base_names=names, tracker=tracker
        )
    except AdapterRejected as rejected:
        if any(output.iterdir()):
            raise EngineError(
                "a rejected adapter left files behind", code="rejected_after_write"
            ) from rejected
        return rejection_report(rejected, request.policy, upload, alignment)


def _fetch(request: JobRequest, workshop: Workshop, folder: Path) -> AdapterFiles:
    """The input on disk, its bytes those that were accepted."""
    folder.mkdir()
    other_names: Sequence[str] = request.other_names
    for file in request.files:
        path = folder / file.name
        _fetch_file(file, workshop, path)
        if file.name == ARCHIVE_NAME:
            limit = workshop.settings.limits.upload
            other_names = unpack(path, folder, max_bytes=limit).other_names
    return AdapterFiles(folder, tuple(other_names))


def _fetch_file(file: InputFile, workshop: Workshop, path: Path) -> None:
    if file.uri is not None:
        workshop.sources.fetch(file, path)
        return
    if file.key is None:
        raise EngineError(f"{file.name} has neither key nor uri", code="input_missing")
    sha256 = workshop.store.get_file(file.key, path)
    if sha256 != file.sha256:
        raise EngineError(
            f"{file.key} is not the file that was accepted: its SHA-256 differs; check the store"
            " and post the adapter again",
            code="input_changed",
        )


def _recipe(request: JobRequest, upload: AdapterFiles) -> str:
    present = [path for path in (upload.model, upload.config) if path.is_file()]
    digests = {path.name: file_facts(path).sha256 for path in present}
    return recipe_digest(digests, request.alignment, request.policy, other_names=upload.other_names)


def _publish(
    request: JobRequest, workshop: Workshop, recipe: str, report: Report, output: Path
) -> Commit:
    """Store the files under their own digest, then name them in one conditional put."""
    files = [file_facts(path) for path in sorted(output.iterdir())]
    output_digest = digest([[f.name, f.sha256] for f in files])[:40]
    if workshop.settings.store.kind == "s3" and report.output is not None:
        files.append(_archive(output))
    for file in files:
        key = layout.output(request.tenant, recipe, output_digest, file.name)
        workshop.store.put_file(key, output / file.name)
    commit = Commit(
        recipe=recipe,
        state=JobState.REJECTED if report.verdict == "rejected" else JobState.SUCCEEDED,
        verdict=report.verdict,
        output=output_digest,
        files=files,
        summary=report.summary,
        findings=report.findings,
    )
    return workshop.records.commit(request.tenant, commit)


def _archive(output: Path) -> FileFacts:
    """The two adapter files in one .zip, for callers that a presigned URL sends straight to S3."""
    members = [
        Packed(path.name, path.stat().st_size, path.open("rb"))
        for path in (output / ADAPTER_CONFIG, output / ADAPTER_MODEL)
    ]
    path = output / ADAPTER_ARCHIVE
    with path.open("wb") as file:
        file.writelines(zip_chunks(members))
    return file_facts(path)
