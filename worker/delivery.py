"""Bringing a result to where its owner wants it: its files first, last of all the manifest.

Nothing is ever written over. What a run that died has left is recognised by its bytes, so another
run goes on; a reader who waits for the manifest never sees half. It needs no torch.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from core.canonical import parse_json_strictly, pretty_json
from core.destinations import MANIFEST, destination_uri, destinations_of
from core.errors import Conflict, EngineError, StoreError, Unprocessable
from core.jobs import Commit, JobRequest
from core.records import Records
from core.report import FileFacts
from core.s3_places import S3Uri, advice_of, refused_with
from core.store import layout
from core.store.base import ObjectChanged, ObjectExists, ObjectInfo, ObjectMissing, ObjectStore
from worker.interrupts import Cancelled
from worker.tracking import Tracker

if TYPE_CHECKING:
    from worker.workshop import Workshop

VERSION: Final = 1
BROUGHT: Final = (
    layout.ADAPTER_CONFIG,
    layout.ADAPTER_MODEL,
    layout.REPORT_JSON,
    layout.REPORT_HTML,
    layout.ATTESTATION,
)
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 1 << 20
_SECTION = "SAFELORA_DESTINATIONS__S3"


def deliver(
    request: JobRequest,
    destination: str,
    commit: Commit,
    workshop: "Workshop",
    tracker: Tracker,
) -> None:
    """Bring the committed files to `destination`, each put only where nothing is.

    Raises `Forbidden` (`destination_not_allowed`), `Conflict` (`destination_taken`),
    `Unprocessable` (`destination_unwritable`), `StoreError` (`destination_unavailable`) where
    another attempt may help, `EngineError` if our own copy is damaged, and what `tracker` raises.
    Then there is no manifest; nor of a job that has ended meanwhile, cancelled for one, which
    raises `Cancelled`.
    """
    uri = destination_uri(workshop.settings, request.tenant, destination)
    files = [file for file in commit.files if file.name in BROUGHT]
    with _said_of(uri):
        place = destinations_of(workshop.settings, request.tenant).open_bucket(uri.bucket)
    with closing(place), tracker.stage("deliver"):
        delivery = _Delivery(request, commit, uri, place, workshop.records, tracker)
        if not delivery.is_done():
            brought = [delivery.bring(file) for file in files]
            delivery.check_still_there(brought)
            if workshop.records.result(request.tenant, request.id) is not None:
                raise Cancelled  # asked of the store itself, now: `tracker` does only now and then
            delivery.seal()


class _Delivery:
    def __init__(
        self,
        request: JobRequest,
        commit: Commit,
        uri: S3Uri,
        place: ObjectStore,
        records: Records,
        tracker: Tracker,
    ) -> None:
        self._request = request
        self._commit = commit
        self._uri = uri
        self._place = place
        self._records = records
        self._own = records.store
        self._tracker = tracker

    def is_done(self) -> bool:
        """Whether the manifest is there: ours, from a run that died later.

        Raises `Conflict` (`destination_taken`) for another one, before anything is put beside it.
        """
        key = self._uri.key + MANIFEST
        with _said_of(self._uri):
            info = self._place.info(key)
            if info is None:
                return False
            there = self._place.get(key, length=_LARGEST_MANIFEST)
        if not self._is_ours(there):
            raise self._taken(MANIFEST)
        return True

    def bring(self, file: FileFacts) -> ObjectInfo:
        """The file as it now lies at the destination."""
        key = self._uri.key + file.name
        with _said_of(self._uri):
            there = self._place.info(key)
        if there is not None:
            return self._same(file, there)
        try:
            return self._put(key, file)
        except ObjectExists:
            with _said_of(self._uri):
                there = self._place.info(key)
            if there is None:
                raise self._unwritable("an object came and went while it was written") from None
            return self._same(file, there)

    def check_still_there(self, brought: list[ObjectInfo]) -> None:
        """Some stores let two writers of one key win; whoever sees that says so, and seals nothing.

        Raises `Conflict` (`destination_taken`).
        """
        for put in brought:
            with _said_of(self._uri):
                there = self._place.info(put.key)
            if there is None or there.etag != put.etag:
                raise self._taken(put.key.removeprefix(self._uri.key))

    def seal(self) -> None:
        """Raises `Conflict` (`destination_taken`)."""
        try:
            with _said_of(self._uri):
                self._place.put(self._uri.key + MANIFEST, self._manifest(), if_absent=True)
        except ObjectExists:
            if not self.is_done():
                raise self._unwritable("a manifest came and went meanwhile") from None

    def _put(self, key: str, file: FileFacts) -> ObjectInfo:
        """Raises `ObjectExists`."""
        digest = hashlib.sha256()
        with _said_of(self._uri):
            writer = self._place.writer(key, if_absent=True)
        try:
            for chunk in self._chunks(file):
                digest.update(chunk)
                with _said_of(self._uri):
                    writer.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise EngineError(
                    f"the stored {file.name} is not the one that was committed: check the store",
                    code="output_changed",
                )
            with _said_of(self._uri):
                return writer.commit()
        finally:
            writer.abort()

    def _chunks(self, file: FileFacts) -> Iterator[bytes]:
        commit = self._commit
        key = layout.output(self._request.tenant, commit.recipe, commit.output, file.name)
        done = 0
        with self._own.open(key) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                done += len(chunk)
                self._tracker.step("deliver", done, file.size)

    def _same(self, file: FileFacts, there: ObjectInfo) -> ObjectInfo:
        """What is there, if it is this file. Raises `Conflict` (`destination_taken`)."""
        digest = hashlib.sha256()
        if there.size == file.size:
            with _said_of(self._uri), self._place.open(there.key) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    self._tracker.step("deliver", 0, file.size)
        if digest.hexdigest() != file.sha256:
            raise self._taken(file.name)
        return there

    def _manifest(self) -> bytes:
        request, commit = self._request, self._commit
        return pretty_json(
            {
                "version": VERSION,
                "job": request.id,
                "state": commit.state,
                "verdict": commit.verdict,
                "alignment": {"name": request.alignment.name, "id": request.alignment.id},
                "policy": request.policy.as_json(),
                "recipe": commit.recipe,
                "files": [
                    file.model_dump(mode="json") for file in commit.files if file.name in BROUGHT
                ],
            }
        )

    def _is_ours(self, there: bytes) -> bool:
        """Of this job, or of one that it tries again: the rest is the same result."""
        found, own = _parsed(there), _parsed(self._manifest())
        jobs = (self._request.id, *_tried_again(self._request, self._records))
        return found.get("job") in jobs and found | {"job": None} == own | {"job": None}

    def _taken(self, name: str) -> Conflict:
        return Conflict(
            f"{self._uri}{name} is there already, and is not this job's: choose a folder of its own"
            " for each job, or empty this one",
            code="destination_taken",
            field="destination",
        )

    def _unwritable(self, why: str) -> Unprocessable:
        return _unwritable(self._uri, why)


def _parsed(manifest: bytes) -> dict[str, Any]:
    """Empty for what is no manifest."""
    try:
        parsed = parse_json_strictly(manifest)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _tried_again(request: JobRequest, records: Records) -> Iterator[str]:
    """The job that this one does again, the one which that did, and so on."""
    earlier: JobRequest | None = request
    while earlier is not None and earlier.retry_of is not None:
        yield earlier.retry_of
        earlier = records.request(earlier.tenant, earlier.retry_of)


@contextmanager
def _said_of(uri: S3Uri) -> Iterator[None]:
    """The store's errors speak of the gate's own store: say them of the destination instead."""
    try:
        yield
    except ObjectExists:
        raise
    except (ObjectMissing, ObjectChanged) as error:
        raise StoreError(
            f"{uri} changed while the result was brought there", code="destination_unavailable"
        ) from error
    except StoreError as error:
        status, said = refused_with(error)
        if status:
            raise _unwritable(uri, f"it answered {said}") from error
        raise StoreError(
            f"{uri} could not be written: {advice_of(error, _SECTION)}",
            code="destination_unavailable",
        ) from error


def _unwritable(uri: S3Uri, why: str) -> Unprocessable:
    return Unprocessable(
        f"the result could not be brought to {uri} ({why}): ask its owner to let the gate read,"
        " list and write there, then retry the job",
        code="destination_unwritable",
        field="destination",
    )
