"""What the doctor says of keys, alignments, jobs and webhooks."""

from datetime import datetime, timedelta
from pathlib import Path

from app.doctor.access import key_checks, signing_checks
from app.doctor.alignments import alignment_checks
from app.doctor.queue import failure_checks, queue_checks, webhook_checks
from core.alignments import MANIFEST_FILE, Manifest
from core.attestation.keeping import create_key, retire_key, rotate_key
from core.attestation.published import PublishedKeys
from core.jobs import JobState, now
from core.keys import Keys
from core.queue import JobQueue
from core.queue_state import beat
from core.records import Records
from core.scopes import ALIGNMENTS, JOBS
from core.settings import AttestationSettings, Settings
from core.store import layout
from core.store.base import ObjectStore
from core.webhooks.endpoints import Endpoints, EndpointSettings
from core.webhooks.outbox import Mark, now_ms
from tests.app.conftest import OpenGate
from tests.app.doctor.conftest import of, state_of
from tests.app.following import end
from tests.app.gate import Gate, leave_alignment


def test_a_gate_that_anyone_here_may_call_is_told(settings: Settings, store: ObjectStore) -> None:
    """Without a key; and with none that is good any more it is a failure."""
    assert state_of(key_checks(settings, store), "api keys") == "warning"
    keys = Keys(store)
    keys.revoke(keys.create("default", [ALIGNMENTS], None).record)
    assert state_of(key_checks(settings, store), "api keys") == "failed"


def test_a_gate_without_an_operator_is_told(settings: Settings, store: ObjectStore) -> None:
    """Uploaders' keys alone register no alignment."""
    Keys(store).create("acme", [JOBS], None)
    assert state_of(key_checks(settings, store), "api keys") == "warning"
    Keys(store).create("default", [ALIGNMENTS], None)
    assert state_of(key_checks(settings, store), "api keys") == "ok"


def test_keys_that_end_soon_are_named(settings: Settings, store: ObjectStore) -> None:
    """Not those that end later, nor those that another took the place of."""
    keys = Keys(store)
    soon = keys.create("acme", [ALIGNMENTS], timedelta(days=13)).record
    keys.create("acme", [JOBS], timedelta(days=15))
    rotated = keys.create("acme", [JOBS], timedelta(days=2)).record
    later = keys.create("acme", [JOBS], None)
    keys.replace(rotated, later.record.id, _at(rotated.expires_at))
    [(state, found)] = of(key_checks(settings, store), "api key")
    assert (state, found.split()[0]) == ("warning", soon.id)


def _at(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


def test_a_key_that_cannot_be_read_is_told(settings: Settings, store: ObjectStore) -> None:
    """And keeps nobody from seeing the others."""
    Keys(store).create("default", [ALIGNMENTS], None)
    store.put(layout.access_key("0" * 12), b"{}")
    states = [state for state, _ in of(key_checks(settings, store), "api keys")]
    assert states == ["failed", "ok"]


def signing(settings: Settings, path: Path | None) -> Settings:
    return settings.model_copy(update={"attestation": AttestationSettings(key=path)})


def test_a_signing_key_is_followed_through_its_life(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    """None, a file that is missing, one that is published, retired, or that others may read."""
    path, published = tmp_path / "key.pem", PublishedKeys(store)
    with_key = signing(settings, path)
    assert state_of(signing_checks(settings, store), "signing key") == "warning"
    assert state_of(signing_checks(with_key, store), "signing key") == "failed"
    kid = create_key(path, published, now()).kid
    assert state_of(signing_checks(with_key, store), "signing key") == "ok"
    assert state_of(signing_checks(settings, store), "signing key") == "ok"
    path.chmod(0o644)
    assert state_of(signing_checks(with_key, store), "signing key") == "warning"
    store.delete(layout.attestation_key(kid))
    assert state_of(signing_checks(with_key, store), "signing key") == "failed"
    create_key(path, published, now())
    retire_key(kid, None, published, now())
    [(state, found)] = of(signing_checks(with_key, store), "signing key")
    assert state == "failed"
    assert "retired" in found
    rotate_key(path, published, now())
    assert state_of(signing_checks(with_key, store), "signing key") == "ok"


def test_an_alignment_that_lacks_a_file_is_named(records: Records) -> None:
    """Whole, without one of its files, without a manifest."""
    assert state_of(alignment_checks(records), "alignments") == "warning"
    record = leave_alignment(records, "tiny")
    assert record.id is not None
    place = layout.alignment(record.id, MANIFEST_FILE)
    for name in Manifest.model_validate_json(records.store.get(place)).files:
        assert of(alignment_checks(records), "alignment")[0][0] == "failed"
        records.store.put(layout.alignment(record.id, name), b"x")
    assert state_of(alignment_checks(records), "alignment") == "ok"
    records.store.delete(place)
    [(state, found)] = of(alignment_checks(records), "alignment")
    assert state == "failed"
    assert found.startswith("tiny: ")


def test_alignments_that_are_no_use_are_named(records: Records) -> None:
    """One that was not built is a warning, a record that cannot be read a failure."""
    leave_alignment(records, "a", state="failed", id=None)
    leave_alignment(records, "b", state="building", id=None)
    records.store.put(layout.alignment_name("c"), b"{}")
    states = [state for state, _ in of(alignment_checks(records), "alignment")]
    assert states == ["warning", "ok", "failed"]


def test_who_is_missing_is_named(queue: JobQueue) -> None:
    """Nobody works and nobody carries; then a courier is there."""
    checks = list(queue_checks(queue))
    assert (state_of(checks, "workers"), state_of(checks, "courier")) == ("failed", "failed")
    beat(queue)
    assert state_of(queue_checks(queue), "courier") == "ok"


def test_a_queue_that_takes_no_more_is_told(settings: Settings, open_gate: OpenGate) -> None:
    """With as many jobs as may wait."""
    gate = open_gate(queue=settings.queue.model_copy(update={"max_depth": 1}))
    assert state_of(queue_checks(gate.services.queue), "jobs") == "ok"
    gate.register()
    assert gate.post().status_code == 202
    assert state_of(queue_checks(gate.services.queue), "jobs") == "failed"


def test_jobs_that_failed_are_counted_by_their_code(gate: Gate) -> None:
    """Of the last day; rejected ones are no failure."""
    gate.register()
    for number in range(3):
        job = gate.post(metadata=f'{{"n": "{number}"}}').json()["id"]
        end(gate, job, JobState.CANCELLED if number == 0 else JobState.FAILED)
    [(state_told, found)] = of(failure_checks(gate.services.records), "failed jobs")
    assert state_told == "warning"
    assert found.startswith("2 of 3 of the last day: 2 engine_error; ")


def test_what_callers_are_not_told_is(records: Records) -> None:
    """What has been due for minutes, and endpoints that were switched off."""
    assert [c.state for c in webhook_checks(records, enabled=True)] == ["ok"]
    mark = Mark(now_ms() - 10 * 60 * 1000, "acme", "job", "delivery")
    records.store.put(mark.key, b"")
    for enabled in (True, False):
        assert state_of(webhook_checks(records, enabled=enabled), "webhooks") == "warning"
    off = EndpointSettings(url="https://told.example/", enabled=False, disabled="gone")
    made = Endpoints(records.store, "acme").add("7ybqv25qt6vt2rr7h22ybvjmrd", off)
    [(state, found)] = of(webhook_checks(records, enabled=True), "webhook endpoints")
    assert state == "warning"
    assert made.id in found
