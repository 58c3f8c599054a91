"""What a worker signs, with what, and that nothing is published where it cannot."""

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from core.alignments import AlignmentRecord
from core.attestation.keeping import create_key, rotate_key
from core.attestation.key_set import KeySet
from core.attestation.keys import SigningKey, SigningKeyUnusable
from core.attestation.published import PublishedKeys
from core.jobs import Commit, JobResult, JobState, now
from core.policy import Policy, parse_policy
from core.settings import AttestationSettings, SettingsInvalid
from core.store import layout
from core.store.base import ObjectStore
from core.store.layout import ADAPTER_MODEL, ATTESTATION
from core.store.local import LocalStore
from tests.attested import codes, keys_of, seed, verified
from tests.worker.service import TENANT, Service, golden_files
from worker.attesting import check_key
from worker.gpu import run_process
from worker.interrupts import Interrupts
from worker.tasks import Tasks

SCORES_ONLY = parse_policy(b'{"selection": {"mode": "none"}}')


@pytest.fixture
def key_file(service: Service, tmp_path: Path) -> Path:
    """A key that is made and published; no worker knows of it yet."""
    path = tmp_path / "signing-key.pem"
    create_key(path, PublishedKeys(service.store), now())
    return path


def with_key(service: Service, path: Path) -> Service:
    """The same store and queue, and a worker that signs with this key."""
    workshop = service.tasks.workshop
    attestation = AttestationSettings(key=path)
    settings = workshop.settings.model_copy(update={"attestation": attestation})
    tasks = Tasks(replace(workshop, settings=settings), service.queue, Interrupts())
    return replace(service, tasks=tasks)


def download(service: Service, commit: Commit, folder: Path) -> Path:
    """What the API hands out, and the report."""
    folder.mkdir()
    for file in commit.files:
        if file.name not in ("report.html", "adapter.zip"):
            data = read(service.store, commit, file.name)
            (folder / file.name).write_bytes(data)
    return folder


def read(store: ObjectStore, commit: Commit, name: str) -> bytes:
    return store.get(layout.output(TENANT, commit.recipe, commit.output, name))


def commit_of(result: JobResult) -> Commit:
    assert result.state is JobState.SUCCEEDED
    assert result.commit is not None
    return result.commit


def key_set_of(path: Path) -> KeySet:
    return keys_of(SigningKey.load(path))


def test_result_is_attested(
    service: Service, record: AlignmentRecord, key_file: Path, tmp_path: Path
) -> None:
    """It verifies as it is downloaded, and says what was done to which input."""
    commit = commit_of(with_key(service, key_file).run(record))
    assert commit.signing_key == SigningKey.load(key_file).public.id
    outcome = verified(download(service, commit, tmp_path / "got"), key_set_of(key_file))
    assert codes(outcome) == []
    assert outcome.predicate is not None
    assert (outcome.predicate.recipe, outcome.predicate.verdict) == (commit.recipe, "projected")
    assert outcome.predicate.summary == commit.summary
    assert {f.name: f.size for f in outcome.predicate.input} == {
        name: len(data) for name, data in golden_files().items()
    }


def test_statement_names_no_job_time_or_path(
    service: Service, record: AlignmentRecord, key_file: Path, tmp_path: Path
) -> None:
    """Two jobs come to one result, and to one attestation, byte for byte."""
    service = with_key(service, key_file)
    request = service.accept(record)
    service.work()
    result = service.result(request)
    assert result is not None
    data = read(service.store, commit_of(result), ATTESTATION)
    said = base64.b64decode(json.loads(data)["payload"]).decode()
    for word in (request.id, TENANT, str(tmp_path), "cpu", now()[:10]):
        assert word not in said


def test_attestation_does_not_change_the_name_of_the_output(
    service: Service, record: AlignmentRecord, key_file: Path
) -> None:
    """With no key, with one and with another: the files lie under the same digest."""
    plain = commit_of(service.run(record))
    keyed = with_key(service, key_file)
    signed = commit_of(keyed.run(record))
    rotate_key(key_file, PublishedKeys(service.store), now())
    PublishedKeys(service.store).retire(signed.signing_key or "", now())
    again = commit_of(keyed.run(record))
    assert {plain.output} == {signed.output} == {again.output}
    assert len({plain.signing_key, signed.signing_key, again.signing_key}) == 3


def test_unattested_result_is_worked_on_again_once_there_is_a_key(
    service: Service, record: AlignmentRecord, key_file: Path, tmp_path: Path
) -> None:
    """One from before answers no new job; from then on the attested one does, for good."""
    before = commit_of(service.run(record))
    assert before.file(ATTESTATION) is None
    after = commit_of(with_key(service, key_file).run(record))
    assert service.records.committed(TENANT, before.recipe) == after
    assert verified(download(service, after, tmp_path / "got"), key_set_of(key_file)).verified
    assert commit_of(service.run(record)) == after


def test_result_of_a_retired_key_is_worked_on_and_signed_again(
    service: Service, record: AlignmentRecord, key_file: Path, tmp_path: Path
) -> None:
    """Rotation alone changes no result; retiring has the same adapter signed anew."""
    service = with_key(service, key_file)
    old = commit_of(service.run(record))
    rotate_key(key_file, PublishedKeys(service.store), now())
    assert commit_of(service.run(record)) == old
    PublishedKeys(service.store).retire(old.signing_key or "", now())
    new = commit_of(service.run(record))
    assert new.signing_key == SigningKey.load(key_file).public.id
    assert verified(download(service, new, tmp_path / "got"), key_set_of(key_file)).verified


@pytest.mark.parametrize(
    ("policy", "change"), [(SCORES_ONLY, False), (Policy(), True)], ids=["scored", "rejected"]
)
def test_what_publishes_no_adapter_is_not_attested(
    service: Service, record: AlignmentRecord, key_file: Path, policy: Policy, change: bool
) -> None:
    """Nor is it worked on twice for want of an attestation."""
    files = golden_files()
    if change:
        config = files["adapter_config.json"]
        files["adapter_config.json"] = config.replace(b'"use_dora": false', b'"use_dora": true')
    result = with_key(service, key_file).run(record, files, policy)
    assert result.commit is not None
    assert result.commit.verdict == ("rejected" if change else "scored")
    assert result.commit.signing_key is None
    assert {f.name for f in result.commit.files} == {"report.json", "report.html"}


def spoiled(path: Path, store: ObjectStore, how: str) -> None:
    kid = SigningKey.load(path).public.id
    if how == "gone":
        path.unlink()
    elif how == "damaged":
        path.write_bytes(b"no key")
    elif how == "not published":
        store.delete(layout.attestation_key(kid))
    else:
        PublishedKeys(store).retire(kid, now())


CODES = {
    "gone": "signing_key_unusable",
    "damaged": "signing_key_unusable",
    "not published": "signing_key_unpublished",
    "retired": "signing_key_retired",
}


@pytest.mark.parametrize("how", CODES)
def test_nothing_is_published_with_a_key_that_is_no_good(
    service: Service, record: AlignmentRecord, key_file: Path, how: str
) -> None:
    """The job fails with a code that may be told; the store has no adapter of it."""
    service = with_key(service, key_file)
    spoiled(key_file, service.store, how)
    result = service.run(record)
    assert result.state is JobState.FAILED
    assert result.error is not None
    assert result.error.code == CODES[how]
    assert str(key_file) not in result.error.message
    assert list(service.store.list(layout.results(TENANT))) == []


@pytest.mark.parametrize("how", CODES)
def test_worker_does_not_start_with_a_key_that_is_no_good(
    local_store: LocalStore, tmp_path: Path, how: str
) -> None:
    """Before it takes a job, and it says why."""
    path = tmp_path / "key.pem"
    create_key(path, PublishedKeys(local_store), now())
    spoiled(path, local_store, how)
    with pytest.raises(SigningKeyUnusable) as refused:
        check_key(AttestationSettings(key=path), local_store)
    assert refused.value.code == CODES[how]


def test_worker_without_a_key_says_so(
    local_store: LocalStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And with one, which it is."""
    caplog.set_level(logging.INFO)
    check_key(AttestationSettings(), local_store)
    assert "results are not attested" in caplog.text
    record = create_key(tmp_path / "key.pem", PublishedKeys(local_store), now())
    check_key(AttestationSettings(key=tmp_path / "key.pem"), local_store)
    assert f"attested with key {record.kid}" in caplog.text


def test_process_ends_where_its_key_is_no_good(service: Service, tmp_path: Path) -> None:
    """The settings are at fault."""
    settings = service.tasks.workshop.settings
    seed(1).write_new(tmp_path / "key.pem")
    attestation = AttestationSettings(key=tmp_path / "key.pem")
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_ATTESTATION__KEY: .* signing-keys"):
        run_process(settings.model_copy(update={"attestation": attestation}))


def test_attestation_that_another_worker_stored_stands(
    service: Service, record: AlignmentRecord, key_file: Path
) -> None:
    """Two keys at once, as during a rotation: one file, and the commit names its key."""
    service = with_key(service, key_file)
    first = commit_of(service.run(record))
    service.store.delete(layout.commit(TENANT, first.recipe))
    rotate_key(key_file, PublishedKeys(service.store), now())
    second = commit_of(service.run(record))
    assert second == first.model_copy(update={"job": second.job})


@pytest.mark.parametrize("left", [b"", b"{}", b"half of an attest"])
def test_what_a_killed_worker_or_a_stranger_left_is_replaced(
    service: Service, record: AlignmentRecord, key_file: Path, left: bytes, tmp_path: Path
) -> None:
    """Nothing is taken for an attestation that is none of ours, for these files."""
    service = with_key(service, key_file)
    first = commit_of(service.run(record))
    place = layout.output(TENANT, first.recipe, first.output, ATTESTATION)
    service.store.put(place, left)
    service.store.delete(layout.commit(TENANT, first.recipe))
    again = commit_of(service.run(record))
    assert verified(download(service, again, tmp_path / "got"), key_set_of(key_file)).verified


def test_commit_without_a_key_is_read_by_versions_that_know_none(
    service: Service, record: AlignmentRecord
) -> None:
    """The field is there only where it says something, in the job's own record too."""
    result = service.run(record)
    commit = commit_of(result)
    assert b"signing_key" not in commit.as_bytes()
    assert b"signing_key" not in result.as_bytes()
    assert commit.file(ADAPTER_MODEL) is not None
