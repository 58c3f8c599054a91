"""The input of a job on disk: the bytes that were accepted, an archive unpacked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.archives import unpack
from core.errors import AdapterRejected, EngineError, Unprocessable
from core.findings import finding
from core.jobs import InputFile, JobRequest
from core.sources import ARCHIVE_NAME
from core.tenant_limits import upload_limit
from worker.adapter import AdapterFiles
from worker.pipeline import BaseNames, Order
from worker.workshop import Workshop


@dataclass(frozen=True)
class Upload:
    """The input on disk. `digests`: SHA-256 by name of what came; `refusal` if it is an archive
    that was not opened."""

    files: AdapterFiles
    digests: Mapping[str, str]
    refusal: AdapterRejected | None = None


def fetch(
    request: JobRequest, workshop: Workshop, folder: Path, *, most: int | None = None
) -> Upload:
    """The input on disk, its bytes those that were accepted, an archive unpacked: to `most` bytes,
    if that is less than its tenant may send."""
    folder.mkdir()
    tenant = request.tenant
    digests = {f.name: _fetched(f, tenant, workshop, folder / f.name) for f in request.files}
    if list(digests) == [ARCHIVE_NAME]:
        allowed = upload_limit(workshop.settings, tenant)
        limit = allowed if most is None else min(allowed, most)
        return _unpacked(folder, digests[ARCHIVE_NAME], limit)
    return Upload(AdapterFiles(folder, tuple(request.other_names)), digests)


def order_of(request: JobRequest, upload: Upload, output: Path) -> Order:
    """What is to become of it, in the empty folder `output`."""
    known = tuple(request.alignment.base_names)
    names = BaseNames(written=known[0] if known else None, known=known)
    return Order(upload.files, request.policy, output, names, tuple(request.below_floor))


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


def _fetched(file: InputFile, tenant: str, workshop: Workshop, path: Path) -> str:
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
