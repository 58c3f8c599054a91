"""Keys of the store at the door: who is let in, and who is not, whatever is sent."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Self

import pytest
from starlette.testclient import TestClient

from app.access import keyring
from app.access.failures import Failures
from core.canonical import sha256_hex
from core.errors import StoreError
from core.keys import Keys, NewKey
from core.scopes import ALIGNMENTS, JOBS
from core.settings.access import AccessSettings
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key
from tests.app.test_keyring import keys_asked_for

NEVER_MADE = "slg_0123456789ab_" + "x" * 43
HOUR = timedelta(hours=1)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered: what the store says holds at once."""
    monkeypatch.setattr(keyring, "SECONDS", 0.0)


def make(gate: Gate, *scopes: str, tenant: str = "alice", lasts: timedelta | None = None) -> NewKey:
    return Keys(gate.services.store).create(tenant, scopes or (JOBS,), lasts)


def listing(gate: Gate, text: str) -> int:
    status: int = gate.client.get("/v1/jobs", headers=bearer(text)).status_code
    return status


def test_a_key_of_the_store_lets_in(any_gate: Gate) -> None:
    """As its tenant, with its scopes and no more."""
    any_gate.register()
    new = make(any_gate, JOBS)
    any_gate.client.headers.update(bearer(new.text))
    posted = any_gate.post()
    assert posted.status_code == 202
    assert any_gate.request_of(posted, "alice").tenant == "alice"
    refused = any_gate.client.delete("/v1/alignments/base")
    assert (refused.status_code, code_of(refused)) == (403, "scope_missing")


def test_keys_of_the_settings_count_beside_them(open_gate: OpenGate) -> None:
    """Neither kind shuts out the other."""
    gate = open_gate(access=access(key("slg_old-form", "bob", JOBS)))
    new = make(gate)
    assert [listing(gate, text) for text in ("slg_old-form", new.text, NEVER_MADE)] == [
        200,
        200,
        401,
    ]


def test_a_key_of_the_settings_may_have_the_stores_form(open_gate: OpenGate) -> None:
    """What the settings say needs no store."""
    gate = open_gate(access=access(key(NEVER_MADE, "bob", JOBS)))
    assert listing(gate, NEVER_MADE) == 200


@pytest.mark.usefixtures("fresh")
def test_the_first_key_shuts_the_door(gate: Gate) -> None:
    """From then on a key is demanded on loopback too, and any host is served; revoking the last
    one opens nothing."""
    assert gate.client.get("/v1/jobs").status_code == 200
    new = make(gate)
    assert gate.client.get("/v1/jobs").status_code == 401
    headers = bearer(new.text) | {"Host": "gate.example"}
    assert gate.client.get("/v1/jobs", headers=headers).status_code == 200
    Keys(gate.services.store).revoke(new.record)
    assert gate.client.get("/v1/jobs").status_code == 401
    assert gate.client.get("/readyz", headers={"Host": "gate.example"}).status_code == 200


@pytest.mark.usefixtures("fresh")
def test_a_revoked_key_is_told_so_and_its_holder_alone(gate: Gate) -> None:
    """Who has not the whole key learns nothing of it."""
    new = make(gate)
    assert listing(gate, new.text) == 200
    Keys(gate.services.store).revoke(new.record)
    response = gate.client.get("/v1/jobs", headers=bearer(new.text))
    assert (response.status_code, code_of(response)) == (401, "key_revoked")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    guess = gate.client.get("/v1/jobs", headers=bearer(f"{new.text[:-1]}!"))
    assert code_of(guess) == "unauthorized"
    wrong = gate.client.get("/v1/jobs", headers=bearer(f"slg_{new.record.id}_{'x' * 43}"))
    nobody = gate.client.get("/v1/jobs", headers=bearer(NEVER_MADE))
    assert wrong.json() == nobody.json()


@pytest.mark.usefixtures("fresh")
def test_an_expired_key_is_told_so(gate: Gate) -> None:
    """From its end on, however long the record is remembered."""
    new = make(gate, lasts=HOUR)
    assert listing(gate, new.text) == 200
    Keys(gate.services.store).replace(new.record, "f" * 12, datetime.now(UTC))
    response = gate.client.get("/v1/jobs", headers=bearer(new.text))
    assert (response.status_code, code_of(response)) == (401, "key_expired")


def test_a_remembered_key_expires_all_the_same(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is the record, not that it was good."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + HOUR

    new = make(gate, lasts=HOUR)
    assert listing(gate, new.text) == 200
    monkeypatch.setattr("app.access.holders.datetime", Later)
    response = gate.client.get("/v1/jobs", headers=bearer(new.text))
    assert (response.status_code, code_of(response)) == (401, "key_expired")


def test_only_the_one_header_counts(gate: Gate) -> None:
    """Two of them are none, in whichever order: what stands before the gate may read the other."""
    new = make(gate)
    for texts in ([new.text, NEVER_MADE], [NEVER_MADE, new.text], [new.text, new.text]):
        headers: Any = [("Authorization", f"Bearer {text}") for text in texts]
        assert gate.client.get("/v1/jobs", headers=headers).status_code == 401
    for name in ("authorization", "AUTHORIZATION", "aUTHORIZATION"):
        headers = {name: f"Bearer {new.text}"}
        assert gate.client.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "slg_ÿÿÿÿÿÿÿÿÿÿÿÿ_" + "x" * 43,
        "slg_../../../key_" + "x" * 43,
        "slg_0123456789ab_" + "é" * 43,
        "slg_0123456789ab_" + "x" * 100_000,
        "slg_" + "0" * 100_000,
        "slg_0123456789ab\x00_" + "x" * 42,
        "SLG_0123456789ab_" + "x" * 43,
        "slg_0123456789AB_" + "x" * 43,
    ],
)
def test_rubbish_is_no_key(gate: Gate, text: str) -> None:
    """And is not looked for in the store: a 401 as any other."""
    make(gate)
    header = b"Bearer " + text.encode("latin-1")
    response = gate.client.get("/v1/jobs", headers={b"Authorization": header})
    assert (response.status_code, code_of(response)) == (401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        "//livez",
        "/livez/",
        "/livez/../v1/jobs",
        "/livez/..%2fv1/jobs",
        "/livez%2f..%2fv1/jobs",
        "/livez;/v1/jobs",
        "/livez%00",
        "/livez%20",
        "/LIVEZ",
        "/docs/../v1/jobs",
        "/docs/oauth2-redirect",
        "/version?x=/v1/jobs",
    ],
)
def test_no_path_slips_by(gate: Gate, path: str) -> None:
    """Only the exact path is open, and what a request is let in by is what it is routed by."""
    make(gate)
    response = gate.client.request("GET", f"http://localhost{path}")
    if path.startswith("/version"):
        assert response.json()["name"] == "safelora-gate"
    else:
        assert response.status_code == 401


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("given", ["nothing", "a key seen before", "a made-up key"])
def test_while_the_store_is_away_nobody_is_let_in(
    gate: Gate, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, which says that later is better; that the process lives needs no store."""
    new = make(gate)
    assert listing(gate, new.text) == 200
    text = {"nothing": "", "a key seen before": new.text, "a made-up key": NEVER_MADE}[given]

    def away(*_: object, **__: object) -> bytes:
        raise StoreError("the store is away")

    for call in ("get", "list", "info"):
        monkeypatch.setattr(gate.services.store, call, away)
    response = gate.client.get("/v1/jobs", headers=bearer(text))
    assert (response.status_code, code_of(response)) == (503, "store_unavailable")
    assert "Retry-After" in response.headers
    assert gate.client.get("/livez").status_code == 200
    assert gate.client.get("/version").status_code == 200


def test_an_unreadable_record_lets_nobody_in(gate: Gate) -> None:
    """Damage is ours, and not taken for a key or for none."""
    new = make(gate)
    gate.services.store.put(layout.access_key(new.record.id), b"{}")
    response = gate.client.get("/v1/jobs", headers=bearer(new.text))
    assert (response.status_code, code_of(response)) == (500, "record_unreadable")


def test_other_machines_are_refused_without_any_key(gate: Gate) -> None:
    """Whatever they send; the words say how keys are made."""
    elsewhere = TestClient(gate.client.app, base_url="http://localhost", client=("10.0.0.7", 5000))
    response = elsewhere.get("/v1/jobs", headers=bearer(NEVER_MADE))
    assert (response.status_code, code_of(response)) == (403, "loopback_only")
    assert "safelora-gate keys create" in response.json()["detail"]


def test_a_flood_of_made_up_keys_costs_its_sender_alone(
    open_gate: OpenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some failures the address gets 429, and nothing is asked of the store for it; good keys
    that were seen pass from there too, and others are let in from elsewhere."""
    monkeypatch.setattr("app.main.Failures", partial(Failures, clock=lambda: 0.0))
    allowed = 20
    gate = open_gate(access=AccessSettings(failures_per_minute=allowed, audit_log="off"))
    good, other = make(gate), make(gate)
    assert listing(gate, good.text) == 200
    for number in range(allowed):
        assert listing(gate, f"slg_{number:012x}_{'x' * 43}") == 401
    asked = keys_asked_for(gate.services.store, monkeypatch)
    response = gate.client.get("/v1/jobs", headers=bearer(NEVER_MADE))
    assert (response.status_code, code_of(response)) == (429, "too_many_failures")
    assert int(response.headers["Retry-After"]) == 4
    assert gate.client.get("/v1/jobs").status_code == 429
    assert asked == []
    assert listing(gate, good.text) == 200
    elsewhere = TestClient(gate.client.app, base_url="http://localhost", client=("10.0.0.7", 5000))
    assert elsewhere.get("/v1/jobs", headers=bearer(other.text)).status_code == 200


def test_the_hash_is_no_key(gate: Gate) -> None:
    """Nor is the id, nor the record."""
    new = make(gate, JOBS, ALIGNMENTS)
    stored = gate.services.store.get(layout.access_key(new.record.id)).decode()
    for text in (
        new.record.id,
        new.record.sha256,
        sha256_hex(new.text.encode()),
        stored.split()[0],
    ):
        assert listing(gate, text) == 401
