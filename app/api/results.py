"""What a job left: its report and the sanitized adapter."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, BinaryIO, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.access.callers import Caller, JobsCaller
from app.description.answers import Answers, problems
from app.description.openapi import location
from app.negotiation import MEDIA_TYPES, Form, preferred
from app.outcomes import place_of, published, result_of, unless_expired
from app.page_policy import page_policy
from app.services import Served, Services
from core.archives.pack import Packed, zip_chunks
from core.attestation.envelope import Envelope
from core.errors import NotFound
from core.jobs import Commit
from core.render.csv import modules_csv
from core.report import Report
from core.store import layout
from core.store.base import ObjectMissing

_CHUNK = 1 << 20
_URL_SECONDS = 15 * 60
_FILES = (layout.ADAPTER_MODEL, layout.ADAPTER_CONFIG)
_PACKED = (*_FILES, layout.ATTESTATION)
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
_JSON = "application/json"
_REDIRECT: Final[Answers] = {
    303: {"description": "Where it lies", "headers": location("a URL that is good for a while")}
}
_NO_REPORT: Final = (
    *("job_not_found", "job_not_finished", "job_failed", "job_cancelled"),
    "result_expired",
)
_NO_ADAPTER: Final = (*_NO_REPORT, "job_rejected", "no_adapter")


def _content(*media_types: str) -> Answers:
    return {200: {"content": {name: {"schema": {"type": "string"}} for name in media_types}}}


router = APIRouter(prefix="/v1/jobs", tags=["results"])


@router.get(
    "/{job_id}/report",
    response_model=Report,
    summary="The report, layer by layer",
    responses=_content("text/html", "text/csv") | problems(*_NO_REPORT),
)
def get_report(request: Request, services: Served, caller: JobsCaller, job_id: str) -> Response:
    """As JSON, as a page for who prefers `text/html`, or its modules as CSV for `text/csv`."""
    return _report(services, caller, job_id, preferred(request.headers.get("accept", "")))


@router.get(
    "/{job_id}/report.json",
    response_model=Report,
    summary="The report as JSON",
    responses=problems(*_NO_REPORT),
)
def get_report_json(services: Served, caller: JobsCaller, job_id: str) -> Response:
    return _report(services, caller, job_id, "json")


@router.get(
    "/{job_id}/report.html",
    response_class=Response,
    summary="The report as a page",
    responses=_content("text/html") | problems(*_NO_REPORT),
)
def get_report_html(services: Served, caller: JobsCaller, job_id: str) -> Response:
    return _report(services, caller, job_id, "html")


@router.get(
    "/{job_id}/report.csv",
    response_class=Response,
    summary="The report's modules as CSV",
    responses=_content("text/csv") | problems(*_NO_REPORT),
)
def get_report_csv(services: Served, caller: JobsCaller, job_id: str) -> Response:
    """A line a module, with the fields that `modules` has in the JSON (RFC 4180). A text that a
    spreadsheet would take for a formula begins with an apostrophe."""
    return _report(services, caller, job_id, "csv")


@router.get(
    "/{job_id}/adapter",
    response_class=Response,
    summary="The sanitized adapter as a .zip",
    responses=_content("application/zip") | _REDIRECT | problems(*_NO_ADAPTER),
)
def get_adapter(services: Served, caller: JobsCaller, job_id: str) -> Response:
    """A redirect to the object store, or the archive itself where that is a local folder."""
    commit = published(services, caller, job_id)
    key = place_of(caller, commit, layout.ADAPTER_ARCHIVE)
    filename = f"{job_id}.zip"
    if services.store.info(key) is not None:
        elsewhere = _redirect(services, key, filename)
        if elsewhere is not None:
            return elsewhere
    with unless_expired(services, caller, commit):
        packed = _zip(services, caller, commit)
    return StreamingResponse(packed, headers=_download(filename), media_type="application/zip")


@router.get(
    "/{job_id}/adapter/{filename}",
    response_class=Response,
    summary="One file of the sanitized adapter",
    responses=_content("application/octet-stream")
    | _REDIRECT
    | problems(*_NO_ADAPTER, "file_not_found"),
)
def get_adapter_file(
    services: Served,
    caller: JobsCaller,
    job_id: str,
    filename: Annotated[str, Path(json_schema_extra={"enum": list(_PACKED)})],
) -> Response:
    """`adapter_model.safetensors`, `adapter_config.json`, or `attestation.json` if it has one."""
    commit = published(services, caller, job_id)
    facts = commit.file(filename) if filename in _PACKED else None
    if facts is None:
        raise NotFound(f"the files are {' and '.join(_FILES)}", code="file_not_found")
    key = place_of(caller, commit, filename)
    with unless_expired(services, caller, commit):
        if services.store.info(key) is None:
            raise ObjectMissing(f"There is no object {key!r}.")
        elsewhere = _redirect(services, key, filename)
        if elsewhere is not None:
            return elsewhere
        stream = services.store.open(key)
    headers = _download(filename) | {"Content-Length": str(facts.size)}
    return StreamingResponse(
        _chunks(stream), headers=headers, media_type="application/octet-stream"
    )


@router.get(
    "/{job_id}/attestation",
    response_model=Envelope,
    summary="What the gate did, signed",
    responses=problems(*_NO_ADAPTER, "not_attested"),
)
def get_attestation(services: Served, caller: JobsCaller, job_id: str) -> Response:
    """An in-toto Statement in a DSSE envelope: the adapter's files, and what was done to which
    input. `safelora-gate verify` checks it, with the keys of /.well-known/safelora-gate/keys."""
    commit = published(services, caller, job_id)
    if commit.file(layout.ATTESTATION) is None:
        raise NotFound(
            "the gate had no signing key when it made this result: post the adapter again, if it"
            " has one now",
            code="not_attested",
        )
    with unless_expired(services, caller, commit):
        content = services.store.get(place_of(caller, commit, layout.ATTESTATION))
    return Response(content, headers=_NO_SNIFFING, media_type=_JSON)


def _report(services: Services, caller: Caller, job_id: str, form: Form) -> Response:
    commit = result_of(services, caller, job_id)
    name = layout.REPORT_HTML if form == "html" else layout.REPORT_JSON
    with unless_expired(services, caller, commit):
        content = services.store.get(place_of(caller, commit, name))
    headers = {"Vary": "Accept"} | _NO_SNIFFING
    if form == "html":
        headers["Content-Security-Policy"] = page_policy(content)
    elif form == "csv":
        headers |= _download(f"{job_id}.csv")
        content = modules_csv(json.loads(content).get("modules", []))
    return Response(content, headers=headers, media_type=MEDIA_TYPES[form])


def _redirect(services: Services, key: str, filename: str) -> Response | None:
    url = services.store.presigned_url(key, filename=filename, seconds=_URL_SECONDS)
    return None if url is None else RedirectResponse(url, status_code=303)


def _zip(services: Services, caller: Caller, commit: Commit) -> Iterator[bytes]:
    """Opens every file before the first byte is sent, so that a failure is still an answer."""
    with ExitStack() as stack:
        packed = [
            Packed(
                facts.name,
                facts.size,
                stack.enter_context(services.store.open(place_of(caller, commit, facts.name))),
            )
            for facts in commit.files
            if facts.name in _PACKED
        ]
        stack.pop_all()
    return zip_chunks(packed)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _download(filename: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{filename}"'} | _NO_SNIFFING
