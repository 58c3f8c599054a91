"""The auditor: what was promised, against what lies in the object store and on disk."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from boto3.session import Session

from app.intake.idempotency import Claim
from chaos.ledger import Complaint, Kind, Ledger, Order, Seen
from chaos.load import Expectations
from chaos.reference import Expected
from core.canonical import sha256_hex
from core.errors import RecordUnreadable
from core.jobs import Commit, JobRequest, JobResult
from core.records import Records
from core.store import layout
from core.store.base import ObjectMissing, ObjectStore
from core.store.settings import S3Settings

TEMPORARY = ("*.part", "request-*", "tmp*", "process-*", ".building-*")


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    rounds: int
    jobs: int
    faults: int
    complaints: Sequence[Complaint]

    def count(self, kind: Kind) -> int:
        return Counter(complaint.kind for complaint in self.complaints)[kind]

    def __str__(self) -> str:
        kinds: tuple[Kind, ...] = ("lost", "wrong", "duplicated", "stuck")
        counts = " ".join(f"{kind}={self.count(kind)}" for kind in kinds)
        return f"chaos: rounds={self.rounds} jobs={self.jobs} faults={self.faults} {counts}"


class Auditor:
    """Reads the store itself, past every API. Nothing may be at work in it any more."""

    def __init__(
        self, ledger: Ledger, references: Expectations, store: ObjectStore, tenant: str
    ) -> None:
        self._ledger = ledger
        self._references = references
        self._store = store
        self._records = Records(store)
        self._tenant = tenant
        self._results_folder = f"{layout.tenants()}{tenant}/results/"

    def complaints(self) -> list[Complaint]:
        """Everything that is not as it was promised, each thing once."""
        found = [
            *self._ledger.complaints,
            *self._keys(),
            *self._jobs(),
            *self._results(),
            *self._pending(),
        ]
        return sorted(set(found))

    def _keys(self) -> Iterator[Complaint]:
        """Each key was answered, always with one job, and no other job is there."""
        for order in self._ledger.orders:
            if not order.job_ids:
                yield Complaint("stuck", f"key {order.key}: was never answered")
            elif len(order.job_ids) > 1:
                yield Complaint("duplicated", f"key {order.key}: jobs {', '.join(order.job_ids)}")
            else:
                yield from self._claim(order)
        known = self._ledger.jobs
        for job_id in self._records.job_ids(self._tenant):
            if job_id not in known:
                yield Complaint("duplicated", f"job {job_id}: no caller was ever told of it")

    def _claim(self, order: Order) -> Iterator[Complaint]:
        key = layout.idempotency(self._tenant, order.key)
        try:
            claim = Claim.model_validate_json(self._store.get(key))
        except (ObjectMissing, ValueError):
            yield Complaint("lost", f"key {order.key}: {key} is missing or unreadable")
            return
        if claim.job_id not in order.job_ids:
            yield Complaint("duplicated", f"key {order.key}: stands for job {claim.job_id} too")

    def _jobs(self) -> Iterator[Complaint]:
        for job_id, seen in self._ledger.jobs.items():
            try:
                yield from self._job(job_id, seen)
            except RecordUnreadable as error:
                yield Complaint("wrong", f"job {job_id}: {error}")

    def _job(self, job_id: str, seen: Seen) -> Iterator[Complaint]:
        request = self._records.request(self._tenant, job_id)
        if request is None:
            yield Complaint("lost", f"job {job_id}: has no request.json")
            return
        yield from self._input(request)
        result = self._records.result(self._tenant, job_id)
        if result is None:
            yield Complaint("stuck", f"job {job_id}: has no result.json, seen {_states(seen)}")
            return
        yield from _ending(job_id, result, self._references.of(seen.number))
        yield from _first_word(job_id, result, seen)

    def _input(self, request: JobRequest) -> Iterator[Complaint]:
        for file in request.files:
            if file.key is not None and self._sha256(file.key) != file.sha256:
                yield Complaint("wrong", f"job {request.id}: {file.key} is not what was accepted")

    def _results(self) -> Iterator[Complaint]:
        """Every commit is expected, its files are whole, and nothing else lies beside them."""
        numbers = {order.number for order in self._ledger.orders if order.job_ids}
        expected = {of.commit.recipe: of for of in map(self._references.of, sorted(numbers))}
        for recipe in self._store.folders(self._results_folder):
            try:
                commit = self._records.committed(self._tenant, recipe)
            except RecordUnreadable as error:
                yield Complaint("wrong", f"recipe {recipe}: {error}")
                continue
            if commit is None:
                yield Complaint("wrong", f"recipe {recipe}: has files and no commit.json")
            elif recipe not in expected:
                yield Complaint("wrong", f"recipe {recipe}: nobody asked for it")
            else:
                yield from self._commit(commit, expected[recipe].commit)

    def _commit(self, commit: Commit, expected: Commit) -> Iterator[Complaint]:
        where = f"recipe {commit.recipe}"
        if commit.of_no_job != expected:
            yield Complaint(
                "wrong", f"{where}: commit.json differs in {_differing(commit, expected)}"
            )
        named = {
            layout.output(self._tenant, commit.recipe, commit.output, file.name): file.sha256
            for file in commit.files
        }
        for key, sha256 in named.items():
            stored = self._sha256(key)
            if stored is None:
                yield Complaint("wrong", f"{where}: {key} is missing")
            elif stored != sha256:
                yield Complaint("wrong", f"{where}: {key} is not the file that commit.json names")
        folder = f"{self._results_folder}{commit.recipe}/"
        for key in self._store.list(folder):
            if key in named or key == layout.commit(self._tenant, commit.recipe):
                continue
            another = not key.startswith(f"{folder}{commit.output}/")
            yield Complaint(
                "duplicated" if another else "wrong", f"{where}: {key} beside the result"
            )

    def _pending(self) -> Iterator[Complaint]:
        for tenant, job_id in self._records.pending():
            if job_id not in self._ledger.jobs:
                yield Complaint("wrong", f"job {job_id}: marked as pending, and half accepted")
            elif self._records.result(tenant, job_id) is not None:
                yield Complaint("wrong", f"job {job_id}: marked as pending, and has ended")

    def _sha256(self, key: str) -> str | None:
        try:
            return sha256_hex(self._store.get(key))
        except ObjectMissing:
            return None


def leftovers(scratch: Iterable[Path], caches: Iterable[Path]) -> list[Complaint]:
    """What the service's processes left: anything in a scratch folder, unfinished files in a
    cache of alignments."""
    found = [path for folder in scratch if folder.is_dir() for path in folder.iterdir()]
    for folder in caches:
        found += [path for pattern in TEMPORARY for path in folder.rglob(pattern)]
    return [Complaint("wrong", f"{path} was left behind") for path in sorted(set(found))]


def open_uploads(settings: S3Settings) -> list[Complaint]:
    """Multipart uploads that nobody finished or gave up: they take space, and no listing of
    objects shows them."""
    secret = settings.secret_access_key
    client = Session().client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )
    with closing(client):
        answer = client.list_multipart_uploads(Bucket=settings.bucket, Prefix=settings.prefix)
    uploads = answer.get("Uploads", [])
    return [Complaint("wrong", f"the upload of {u.get('Key')} was left open") for u in uploads]


def _ending(job_id: str, result: JobResult, expected: Expected) -> Iterator[Complaint]:
    if result.state != expected.state:
        why = f" ({result.error.code}: {result.error.message})" if result.error else ""
        text = f"job {job_id}: ended as {result.state}{why}, expected {expected.state}"
        yield Complaint("wrong", text)
    elif result.commit is None:
        yield Complaint("wrong", f"job {job_id}: ended as {result.state} without a commit")
    elif result.commit.of_no_job != expected.commit:
        fields = _differing(result.commit, expected.commit)
        yield Complaint("wrong", f"job {job_id}: its result differs in {fields}")


def _first_word(job_id: str, result: JobResult, seen: Seen) -> Iterator[Complaint]:
    """What a caller saw of the end is what is stored, so result.json was written once."""
    if seen.final is None:
        yield Complaint("stuck", f"job {job_id}: no API ever showed its end")
        return
    said = (seen.final["state"], seen.final["finished_at"])
    stored = (result.state.value, result.finished_at)
    if said != stored:
        text = f"job {job_id}: result.json was written twice: first {said}, now {stored}"
        yield Complaint("duplicated", text)


def _states(seen: Seen) -> str:
    return ", ".join(sorted(seen.states))


def _differing(one: Commit, other: Commit) -> str:
    fields = sorted(set(type(one).model_fields) - {"job"})
    return ", ".join(name for name in fields if getattr(one, name) != getattr(other, name))
