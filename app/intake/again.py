"""`job:<id>` as a source: what an earlier job was given, judged anew. All of it blocks."""

from dataclasses import replace
from typing import Final

from app.access.callers import Caller
from app.intake.order import Order
from app.intake.terms import find_alignment
from app.services import Services
from app.views import find_job
from core.alignments import AlignmentRecord
from core.errors import Conflict, Gone
from core.jobs import AlignmentRef, InputFile, JobRequest
from core.sources import Pinned
from core.store import layout
from core.store.base import ObjectMissing

SCHEME: Final = "job:"


def is_again(source: str | None) -> bool:
    return source is not None and source.startswith(SCHEME)


def of_earlier(services: Services, caller: Caller, order: Order) -> Order:
    """The order with the earlier job's input, and its alignment where none is named.

    Raises `NotFound` (`job_not_found`), `Conflict` (`alignment_removed`), `Gone` (`input_expired`)
    or `StoreError`.
    """
    job = find_job(services, caller.tenant, (order.source or "").removeprefix(SCHEME))
    if order.alignment is None:
        standing_alignment(services, job.alignment)
    files = kept_inputs(services, job)
    return replace(
        order,
        alignment=order.alignment or job.alignment.name,
        pinned=Pinned(files, job.other_names),
    )


def standing_alignment(services: Services, judged: AlignmentRef) -> AlignmentRecord:
    """The alignment that judged an earlier job, if its name stands for it still: it may have been
    replaced for that it was none to judge by. Raises `Conflict` (`alignment_removed`)."""
    record = find_alignment(services.records, judged.name)
    if record is None or record.id != judged.id:
        is_now = "was removed" if record is None else "is another one by now"
        raise Conflict(
            f"the alignment {judged.name} {is_now}: post the adapter again",
            code="alignment_removed",
            alignment=judged.name,
        )
    return record


def kept_inputs(services: Services, job: JobRequest) -> list[InputFile]:
    """The job's own, or where its result was there already, those that this result was made of.

    Raises `Gone` (`input_expired`) if one is no longer there, or `StoreError`.
    """
    holder: JobRequest | None = job
    if any(file.key is None and file.uri is None for file in job.files):
        result = services.records.result(job.tenant, job.id)
        made_by = result.commit.job if result and result.commit else None
        holder = services.records.request(job.tenant, made_by) if made_by else None
    if holder is None or not all(_is_kept(services, file) for file in holder.files):
        raise expired()
    return holder.files


def copied_again(services: Services, caller: Caller, job_id: str, file: InputFile) -> InputFile:
    """The file under the new job's key, so that the earlier one may expire.

    Raises `Gone` (`input_expired`) if it went just now, or `StoreError`.
    """
    key = layout.job_input(caller.tenant, job_id, file.name)
    try:
        services.store.copy(file.key or "", key)
    except ObjectMissing as error:
        raise expired() from error
    return file.model_copy(update={"key": key})


def expired() -> Gone:
    return Gone("the job's input is no longer kept: post the adapter again", code="input_expired")


def _is_kept(services: Services, file: InputFile) -> bool:
    if file.key is None:
        return file.uri is not None
    return services.store.info(file.key) is not None
