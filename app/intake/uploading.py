"""Uploads that are sent ahead of their job: announced, sent, completed. All of it blocks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.access.callers import Caller
from app.services import Services
from core.errors import Conflict, NotFound, TooLarge, Unprocessable
from core.jobs import InputFile, new_job_id, now
from core.sources import ARCHIVE_NAME
from core.store import layout
from core.store.base import ObjectChanged, ObjectInfo, ObjectMissing, Unfinished
from core.store.layout import ADAPTER_CONFIG
from core.tenant_limits import upload_limit
from core.uploads import SCHEME, UploadFile, UploadRecord, is_over, upload_ends

SENT_WHOLE: Final = 64 * 2**20
"""Bytes of the largest file that S3 is sent in one request, and of the parts of a larger one."""
_MAX_PARTS = 10_000  # S3's


@dataclass(frozen=True)
class Sent:
    """What of one file is there: all of it, or parts by number and size."""

    file: UploadFile
    info: ObjectInfo | None
    parts: Mapping[int, int]

    @property
    def whole(self) -> bool:
        return self.info is not None and self.info.size == self.file.size


def announce(services: Services, caller: Caller, files: list[UploadFile]) -> UploadRecord:
    """What may be sent now. Raises `Unprocessable` (`upload_invalid`), `TooLarge`
    (`upload_too_large`) or `StoreError`."""
    _check_names(files)
    _check_sizes(services, caller, files)
    upload_id = new_job_id()
    begun = [_begun(services, caller, upload_id, file) for file in files]
    record = UploadRecord(id=upload_id, tenant=caller.tenant, created_at=now(), files=begun)
    services.records.save_upload(record)
    return record


def find_upload(services: Services, caller: Caller, upload_id: str) -> UploadRecord:
    """Raises `NotFound` (`upload_not_found`): of others, and of what has expired, too."""
    abandoned = services.settings.retention.abandoned
    if not is_over(upload_id, abandoned, datetime.now(UTC)):
        record = services.records.upload(caller.tenant, upload_id)
        if record is not None:
            return record
    raise NotFound(
        "there is no such upload, or it has expired: announce another at /v1/uploads",
        code="upload_not_found",
    )


def ends(services: Services, upload_id: str) -> datetime:
    return upload_ends(upload_id, services.settings.retention.abandoned)


def sent(services: Services, record: UploadRecord) -> list[Sent]:
    """What is there of each file. Raises `StoreError`."""
    return [_sent(services, record, file) for file in record.files]


def complete(services: Services, record: UploadRecord) -> list[Sent]:
    """Join what came in parts, where that was not done before.

    Raises `Conflict` (`upload_incomplete`), `Unprocessable` (`upload_size_mismatch`) or
    `StoreError`.
    """
    direct = services.store.direct
    for seen in sent(services, record):
        file = seen.file
        if seen.info is None and file.parts_id is not None and direct is not None:
            if dict(seen.parts) != file.part_sizes():
                raise _incomplete([seen])
            direct.complete(_key(record, file), file.parts_id)
    there = sent(services, record)
    _check_whole(there)
    return there


def remove(services: Services, record: UploadRecord) -> None:
    """Raises `StoreError`."""
    for file in record.files:
        if file.parts_id is not None:
            put = Unfinished(_key(record, file), file.parts_id, datetime.now(UTC))
            services.store.give_up(put)
    services.records.remove_upload(record.tenant, record.id)


def pinned_inputs(services: Services, caller: Caller, source: str) -> list[InputFile]:
    """The files of `upload:<id>` as they are now, all there and as large as was announced.

    Raises `NotFound`, `Conflict` (`upload_incomplete`), `Unprocessable` (`upload_size_mismatch`) or
    `StoreError`.
    """
    record = find_upload(services, caller, source.removeprefix(SCHEME))
    there = sent(services, record)
    _check_whole(there)
    return [
        InputFile(
            name=ARCHIVE_NAME if seen.file.is_archive else seen.file.name,
            size=seen.file.size,
            key=_key(record, seen.file),
            etag=seen.info.etag if seen.info else None,
            expected_sha256=seen.file.sha256,
        )
        for seen in there
    ]


def copied(services: Services, caller: Caller, job_id: str, file: InputFile) -> InputFile:
    """The file under the job's own key, so that what is judged cannot change any more.

    Raises `Conflict` (`upload_changed`) if it was sent anew just now, or `StoreError`.
    """
    key = layout.job_input(caller.tenant, job_id, file.name)
    try:
        services.store.copy(file.key or "", key, etag=file.etag)
    except (ObjectChanged, ObjectMissing) as error:
        raise _changed(file) from error
    return file.model_copy(update={"key": key, "etag": None})


def content(services: Services, file: InputFile, length: int) -> bytes:
    """The first `length` bytes of a file that is there. Raises as `copied` does."""
    try:
        return services.store.get(file.key or "", length=length)
    except ObjectMissing as error:
        raise _changed(file) from error


class Receiving:
    """One file of an upload that comes through the API, on its way to the store. It blocks."""

    def __init__(self, services: Services, record: UploadRecord, file: UploadFile) -> None:
        self._file = file
        self._writer = services.store.writer(_key(record, file))
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        self._digest.update(data)
        self._writer.write(data)

    def finish(self) -> None:
        """Raises `Unprocessable` (`upload_size_mismatch`, `upload_checksum_mismatch`)."""
        if self._size != self._file.size:
            raise _other_size(self._file, self._size)
        if self._file.sha256 not in (None, self._digest.hexdigest()):
            raise Unprocessable(
                f"{self._file.name} is not the file that was announced: its SHA-256 differs; send"
                " it again",
                code="upload_checksum_mismatch",
                field=self._file.name,
            )
        self._writer.commit()

    def close(self) -> None:
        self._writer.abort()


def file_of(record: UploadRecord, name: str) -> UploadFile:
    """Raises `NotFound` (`file_not_found`)."""
    file = record.file(name)
    if file is None:
        names = ", ".join(file.name for file in record.files)
        raise NotFound(f"the files of this upload are {names}", code="file_not_found")
    return file


def _check_names(files: list[UploadFile]) -> None:
    names = [file.name for file in files]
    if len(set(names)) != len(names):
        why = "a file is there twice"
    elif len(files) > 1 and any(file.is_archive for file in files):
        why = "an archive holds all files: announce it alone"
    else:
        return
    raise Unprocessable(why, code="upload_invalid", field="files")


def _check_sizes(services: Services, caller: Caller, files: list[UploadFile]) -> None:
    limit = upload_limit(services.settings, caller.tenant)
    config = services.settings.limits.config
    total = sum(file.size for file in files)
    if total > limit:
        raise TooLarge(
            f"{total} bytes are announced; {limit} are accepted: save the adapter in 16 bits, or"
            " ask the operator to raise the limit",
            code="upload_too_large",
            limit=limit,
        )
    if any(file.name == ADAPTER_CONFIG and file.size > config for file in files):
        raise TooLarge(
            f"of {ADAPTER_CONFIG} {config} bytes are accepted",
            code="upload_too_large",
            limit=config,
        )


def _begun(services: Services, caller: Caller, upload_id: str, file: UploadFile) -> UploadFile:
    """With the multipart upload it comes in, if it is large and the store has such."""
    direct = services.store.direct
    if direct is None or file.size <= SENT_WHOLE:
        return file
    parts_id = direct.begin(layout.upload_file(caller.tenant, upload_id, file.name))
    part_size = max(SENT_WHOLE, -(-file.size // _MAX_PARTS))
    return file.model_copy(update={"parts_id": parts_id, "part_size": part_size})


def _sent(services: Services, record: UploadRecord, file: UploadFile) -> Sent:
    key, direct = _key(record, file), services.store.direct
    info = services.store.info(key)
    parts: Mapping[int, int] = {}
    if info is None and file.parts_id is not None and direct is not None:
        listed = direct.parts(key, file.parts_id)
        if listed is None:  # completed just now
            info = services.store.info(key)
        parts = listed or {}
    return Sent(file, info, parts)


def _check_whole(there: list[Sent]) -> None:
    missing = [seen for seen in there if seen.info is None]
    if missing:
        raise _incomplete(missing)
    for seen in there:
        if seen.info is not None and not seen.whole:
            raise _other_size(seen.file, seen.info.size)


def _incomplete(missing: list[Sent]) -> Conflict:
    names = [seen.file.name for seen in missing]
    return Conflict(
        f"not all of {', '.join(names)} is there: send the rest, and complete the upload if it is"
        " sent in parts",
        code="upload_incomplete",
        missing=names,
    )


def _changed(file: InputFile) -> Conflict:
    return Conflict(
        f"{file.name} was sent again, or removed, while the job was accepted: post it again",
        code="upload_changed",
        field=file.name,
    )


def _other_size(file: UploadFile, size: int) -> Unprocessable:
    return Unprocessable(
        f"{file.name} has {size} bytes, where {file.size} were announced: send it again",
        code="upload_size_mismatch",
        field=file.name,
        announced=file.size,
    )


def _key(record: UploadRecord, file: UploadFile) -> str:
    return layout.upload_file(record.tenant, record.id, file.name)
