"""One job of the service: its input fetched, judged, written, and published under its recipe."""

from collections.abc import Sequence
from pathlib import Path

from core.errors import AdapterRejected, EngineError
from core.jobs import Commit, JobRequest
from core.report import Report
from worker.alignment.source import AlignmentSource
from worker.company import Company
from worker.fetching import Upload, fetch, order_of
from worker.judge import Judged
from worker.judging import Case, judge_all, judge_one
from worker.pipeline import conclude, read
from worker.publishing import committed, publish
from worker.reporting import rejection_report
from worker.tracking import Tracker
from worker.workshop import Workshop


def run_job(
    request: JobRequest,
    workshop: Workshop,
    tracker: Tracker,
    folder: Path,
    company: Company | None = None,
) -> Commit:
    """The committed result of this job's recipe: an earlier one's, another worker's, or ours.

    `folder` is empty and is the job's alone. Any error means that nothing was published. `company`
    is judged in the same pass, and is to be published by the caller once this job has ended.
    """
    known = {f.name: f.sha256 for f in request.files if f.sha256 is not None}
    if len(known) == len(request.files):
        earlier = committed(request, workshop, known, request.other_names)
        if earlier is not None:
            return earlier
    with tracker.stage("fetch"):
        upload = fetch(request, workshop, folder / "input")
    names = upload.files.other_names
    if upload.digests != known or names != tuple(request.other_names):
        earlier = committed(request, workshop, upload.digests, names)
        if earlier is not None:
            return earlier
    output = folder / "output"
    output.mkdir()
    with workshop.alignment(request.alignment.id, request.alignment.name) as alignment:
        report = _report(request, alignment, upload, output, tracker, company)
        workshop.metrics.modules.inc(report.summary.modules)
    tracker.step("publish", 0, 0)
    with tracker.stage("publish"):
        return publish(request, workshop, upload, report, output)


def _report(
    request: JobRequest,
    alignment: AlignmentSource,
    upload: Upload,
    output: Path,
    tracker: Tracker,
    company: Company | None,
) -> Report:
    """The pipeline's report; a rejected adapter has one too, and leaves no file in `output`."""
    try:
        if upload.refusal is not None:
            raise upload.refusal
        order = order_of(request, upload, output)
        adapter = read(order, alignment, tracker)
        judged = _judged(Case(adapter.modules, order.policy), alignment, tracker, company)
        return conclude(order, adapter, judged, alignment, tracker)
    except AdapterRejected as rejected:
        if any(output.iterdir()):
            raise EngineError(
                "a rejected adapter left files behind", code="rejected_after_write"
            ) from rejected
        return rejection_report(rejected, request.policy, upload.files, alignment)


def _judged(
    case: Case, alignment: AlignmentSource, tracker: Tracker, company: Company | None
) -> Sequence[Judged]:
    """The job's own modules; in the same pass its company's."""
    if company is None:
        return judge_one(case, alignment, tracker)
    with tracker.stage("fetch"):
        others = company.join(case, alignment, tracker)
    own, of_others = judge_all(case, others, alignment, tracker, until=company.until)
    company.take(of_others)
    return own
