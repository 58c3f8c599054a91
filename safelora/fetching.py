"""The sanitized adapter and its attestation, brought to a folder of this machine and checked on the
way."""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

import httpx2

from safelora.errors import DownloadDamaged, GateError, GateFailed, RequestRefused, Unavailable
from safelora.jobs import path_of, report
from safelora.models import FileFacts, Job
from safelora.patience import TRANSIENT
from safelora.steps import Close, Flow, Pause, done, next_chunk, opened
from safelora.wire import Attempts, Call, Terms, may_pass, no_answer, open_stream, send

ATTESTATION: Final = "attestation.json"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MOST_HOPS: Final = 3
_NOT_FOUND: Final = 404


def download(terms: Terms, job: str | Job, folder: Path) -> Flow[list[Path]]:
    """Where the files lie now: all of them as the report says, or none; and beside them the
    attestation, of a job that has one.

    Raises `DownloadDamaged`, `OSError`, or as `ask` does: `RequestRefused` for a job that
    published no adapter.
    """
    told = yield from report(terms, job)
    files = told.output.files if told.output else []
    if not files:
        yield from open_stream(terms, Call("GET", path_of(job, "adapter")))  # it says why
        raise DownloadDamaged("the report names no files", code="digest_unknown")
    for facts in files:
        _check(facts)
    yield from done(partial(folder.mkdir, parents=True, exist_ok=True))
    with TemporaryDirectory(prefix=".safelora-", dir=folder) as staging:
        for facts in files:
            yield from _fetch(terms, job, facts, Path(staging, facts.name))
        names = [facts.name for facts in files]
        attestation = yield from _attestation(terms, job)
        if attestation is not None:
            names.append(ATTESTATION)
            yield from done(partial(Path(staging, ATTESTATION).write_bytes, attestation))
        yield from done(partial(_move, names, Path(staging), folder))
    return [folder / name for name in names]


def _check(facts: FileFacts) -> None:
    if not _NAME.fullmatch(facts.name):
        raise DownloadDamaged(f"{facts.name!r:.80} is no name of a file", code="name_refused")
    if not _SHA256.fullmatch(facts.sha256 or ""):
        raise DownloadDamaged(f"the report has no SHA-256 of {facts.name}", code="digest_unknown")


def _attestation(terms: Terms, job: str | Job) -> Flow[bytes | None]:
    """None of a job that has none, or of a gate that signs nothing yet. No digest is known of it:
    it stands by its signature."""
    try:
        response = yield from send(terms, Call("GET", path_of(job, "attestation")))
    except RequestRefused as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return response.content


def _move(names: Sequence[str], staging: Path, folder: Path) -> None:
    """With them goes the attestation of what lay there before: it is none of theirs."""
    if ATTESTATION not in names:
        (folder / ATTESTATION).unlink(missing_ok=True)
    for name in names:
        (staging / name).replace(folder / name)


def _fetch(terms: Terms, job: str | Job, facts: FileFacts, path: Path) -> Flow[None]:
    """The whole file again where it breaks off; what comes whole and is another one ends it."""
    attempts = Attempts(terms)
    while True:
        again = True
        try:
            failure = yield from _fetch_once(terms, job, facts, path)
        except httpx2.TransportError as error:
            failure, again = no_answer(error), may_pass(error)
        if failure is None:
            return
        yield Pause(attempts.failed(failure, again=again))


def _fetch_once(
    terms: Terms, job: str | Job, facts: FileFacts, path: Path
) -> Flow[GateError | None]:
    """None, or what another try may mend."""
    response = yield from open_stream(terms, Call("GET", path_of(job, "adapter", facts.name)))
    for _ in range(_MOST_HOPS):
        if response.has_redirect_location:
            response = yield from _onward(terms, response)
    status = response.status_code
    if response.is_success:
        yield from _keep(response, facts, path)
    yield Close(response)
    if response.is_success:
        return None
    words = f"where the adapter lies, it is not to be had: {status}"
    if status not in TRANSIENT and status != 500:
        raise GateFailed(words, code="store_refused", status=status)
    return Unavailable(words, code="store_unavailable", status=status)


def _onward(terms: Terms, response: httpx2.Response) -> Flow[httpx2.Response]:
    """What lies where the gate sends us: asked for without the key, whichever host it is."""
    here = response.request.url
    try:
        there = here.join(response.headers["Location"])
    except httpx2.InvalidURL as error:
        words = "the gate sends us to what is no address"
        raise GateFailed(words, code="redirect_refused") from error
    yield Close(response)
    if there.scheme not in ("http", "https") or (here.scheme == "https" != there.scheme):
        raise GateFailed(f"the gate sends us to {there.scheme}://", code="redirect_refused")
    return (yield from opened(terms.foreign(there)))


def _keep(response: httpx2.Response, facts: FileFacts, path: Path) -> Flow[None]:
    digest, size = hashlib.sha256(), 0
    file = yield from done(lambda: path.open("wb"))
    with file:
        while (chunk := (yield from next_chunk(response))) is not None:
            size += len(chunk)
            if size > facts.size:
                break
            yield from done(partial(_write, file, chunk, digest.update))
        yield from done(partial(_flush, file))
    if size != facts.size or digest.hexdigest() != facts.sha256:
        raise DownloadDamaged(
            f"{facts.name} is not the file that the report names: nothing was kept"
        )


def _write(file: BinaryIO, chunk: bytes, update: Callable[[bytes], None]) -> None:
    update(chunk)
    file.write(chunk)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
