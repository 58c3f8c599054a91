"""Uploads: announce files, send them to the object store, and make a job of them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.access.callers import JobsCaller
from app.bodies import blocks, read_json
from app.description.answers import JSON_BODY, SENT_BODY, problems
from app.intake import uploading
from app.intake.order import invalid
from app.intake.uploading import Receiving, Sent
from app.services import Served, Services
from app.views import View
from core.model import Frozen
from core.store import layout
from core.uploads import (
    SCHEME,
    SHA256_PATTERN,
    UPLOAD_NAME_PATTERN,
    UploadFile,
    UploadRecord,
)

_MAX_JSON = 2**16
_URL_SECONDS = 3600
_SCHEMA = "#/components/schemas/UploadOrder"
_ORDER: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _SCHEMA},
                "example": {
                    "files": [
                        {"name": "adapter_model.safetensors", "size": 3702288},
                        {"name": "adapter_config.json", "size": 912},
                    ]
                },
            }
        },
    }
}
_BYTES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "contentMediaType": "application/octet-stream"},
                "example": "the bytes of adapter_model.safetensors",
            }
        },
    }
}
_FOUND = problems("upload_not_found")
_SENT = problems(
    *("upload_not_found", "file_not_found", "upload_size_mismatch", "upload_checksum_mismatch"),
    *SENT_BODY,
    "too_many_uploads",
)

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


class AnnouncedFile(Frozen):
    """`size` in bytes, exactly; with a `sha256` (hex) other bytes are refused."""

    name: Annotated[
        str,
        Field(
            pattern=UPLOAD_NAME_PATTERN,
            description="adapter_model.safetensors, adapter_config.json, adapters.safetensors, or"
            " archive with the ending of one, archive.tar.gz for instance",
        ),
    ]
    size: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=SHA256_PATTERN)] | None = None


class UploadOrder(Frozen):
    """The JSON body of `POST /v1/uploads`: an adapter's files, or one archive."""

    files: Annotated[list[AnnouncedFile], Field(min_length=1, max_length=3)]


class PutView(View):
    """One HTTP PUT of the whole file. `headers` must be sent as they are; at an address of this
    API, the key too."""

    url: str
    headers: dict[str, str]


class PartView(View):
    """One HTTP PUT of this part, `size` bytes of the file."""

    number: int
    size: int
    url: str
    received: bool


class UploadFileView(View):
    """How a file is to be sent: with `put`, or in `parts`, in any order; both null once it is
    there."""

    name: str
    size: int
    sha256: str | None
    received: bool
    put: PutView | None
    parts: list[PartView] | None


class UploadView(View):
    """An upload. `source` is what a job names; URLs of the object store are good for an hour, and
    new ones come with every look."""

    id: str
    source: str
    created_at: str
    expires_at: str
    received: bool
    files: list[UploadFileView]
    links: dict[str, str]


@router.post(
    "",
    response_model=UploadView,
    status_code=201,
    responses=problems(*JSON_BODY, "upload_invalid", "upload_too_large"),
    openapi_extra=_ORDER,
    summary="Announce an upload",
)
async def post_upload(
    request: Request, response: Response, services: Served, caller: JobsCaller
) -> UploadView:
    """Says how each file is to be sent. Once all are there, post a job with the `source`."""
    body = await read_json(request, _MAX_JSON)
    try:
        order = UploadOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    files = [UploadFile(**file.model_dump()) for file in order.files]
    record = await run_in_threadpool(uploading.announce, services, caller, files)
    response.headers["Location"] = f"/v1/uploads/{record.id}"
    nothing = [Sent(file, None, {}) for file in record.files]
    return await run_in_threadpool(_view, services, record, nothing)


@router.get("/{upload_id}", response_model=UploadView, responses=_FOUND, summary="One upload")
def get_upload(services: Served, caller: JobsCaller, upload_id: str) -> UploadView:
    """What of it is there, and how to send the rest."""
    record = uploading.find_upload(services, caller, upload_id)
    return _view(services, record, uploading.sent(services, record))


@router.put(
    "/{upload_id}/files/{name}",
    response_model=UploadView,
    responses=_SENT,
    openapi_extra=_BYTES,
    summary="Send one file of an upload",
)
async def put_file(
    request: Request, services: Served, caller: JobsCaller, upload_id: str, name: str
) -> UploadView:
    """The raw bytes, as many as were announced; for stores that callers cannot send to."""
    record = await run_in_threadpool(uploading.find_upload, services, caller, upload_id)
    file = uploading.file_of(record, name)
    receiving = await run_in_threadpool(Receiving, services, record, file)
    try:
        async for block in blocks(request, file.size):
            await run_in_threadpool(receiving.write, block)
        await run_in_threadpool(receiving.finish)
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(receiving.close)
    there = await run_in_threadpool(uploading.sent, services, record)
    return await run_in_threadpool(_view, services, record, there)


@router.post(
    "/{upload_id}/complete",
    response_model=UploadView,
    responses=problems("upload_not_found", "upload_incomplete", "upload_size_mismatch"),
    summary="Complete an upload",
)
def complete_upload(services: Served, caller: JobsCaller, upload_id: str) -> UploadView:
    """Needed for what was sent in parts; for the rest it only says whether all is there. Once more
    is no error."""
    record = uploading.find_upload(services, caller, upload_id)
    return _view(services, record, uploading.complete(services, record))


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone"}, **_FOUND},
    summary="Remove an upload",
)
def delete_upload(services: Served, caller: JobsCaller, upload_id: str) -> Response:
    """Jobs that were made of it have copies of their own."""
    uploading.remove(services, uploading.find_upload(services, caller, upload_id))
    return Response(status_code=204)


def _view(services: Services, record: UploadRecord, there: list[Sent]) -> UploadView:
    ends = uploading.ends(services, record.id)
    seconds = min(_URL_SECONDS, max(1, int((ends - datetime.now(UTC)).total_seconds())))
    own = f"/v1/uploads/{record.id}"
    return UploadView(
        id=record.id,
        source=f"{SCHEME}{record.id}",
        created_at=record.created_at,
        expires_at=ends.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        received=all(seen.whole for seen in there),
        files=[_file_view(services, record, seen, seconds) for seen in there],
        links={"self": own, "complete": f"{own}/complete"},
    )


def _file_view(
    services: Services, record: UploadRecord, seen: Sent, seconds: int
) -> UploadFileView:
    file = seen.file
    in_parts = not seen.whole and file.parts_id is not None
    return UploadFileView(
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        received=seen.whole,
        put=None if seen.whole or in_parts else _put(services, record, file, seconds),
        parts=_parts(services, record, seen, seconds) if in_parts else None,
    )


def _put(services: Services, record: UploadRecord, file: UploadFile, seconds: int) -> PutView:
    direct = services.store.direct
    if direct is None:
        return PutView(url=f"/v1/uploads/{record.id}/files/{file.name}", headers={})
    key = layout.upload_file(record.tenant, record.id, file.name)
    signed = direct.put(key, size=file.size, sha256=file.sha256, seconds=seconds)
    return PutView(url=signed.url, headers=dict(signed.headers))


def _parts(
    services: Services, record: UploadRecord, seen: Sent, seconds: int
) -> list[PartView] | None:
    direct, file = services.store.direct, seen.file
    if direct is None or file.parts_id is None:
        return None
    key = layout.upload_file(record.tenant, record.id, file.name)
    return [
        PartView(
            number=number,
            size=size,
            url=direct.part_url(key, file.parts_id, number, size=size, seconds=seconds),
            received=seen.parts.get(number) == size,
        )
        for number, size in file.part_sizes().items()
    ]
