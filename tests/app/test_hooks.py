"""Events that become jobs: by the rule of their source, once each."""

import hmac
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Response

from app.access.failures import Failures
from app.api.hooks import EventView, NoJobView
from app.description.hook_examples import IGNORED, SEVERAL, WAITING
from app.hooks.bodies import MAX_EVENT
from app.hooks.verify import verifier
from app.main import create_app
from core.canonical import sha256_hex
from core.settings import (
    AccessSettings,
    ApiKey,
    HookRule,
    QueueSettings,
    Settings,
    SettingsInvalid,
    SourceSettings,
    TenantSettings,
)
from core.settings.hooks import standard_key
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from core.store.s3 import S3Store
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of, weaker_policy
from tests.app.senders import SECRET, SECRETS, SENDERS, WHSEC, event, mlflow, standard
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer

OpenHooks = Callable[..., Gate]
KEY_OF_ALICE = ApiKey(id="alice", sha256=sha256_hex(b"slg_alice"), tenant="alice")
TYPE = "fine_tuning.job.succeeded"
DONE = event(type=TYPE, data={"id": "ft-1", "uri": "s3://elsewhere/x/", "path": "a/../b"})


@pytest.fixture
def folder() -> str:
    return uuid4().hex


@pytest.fixture
def theirs(seaweed: SeaweedServer, folder: str) -> Iterator[S3Store]:
    store = foreign_bucket(seaweed, folder)
    for name in ("ft-1", "ft-2"):
        store.put(f"{name}/{ADAPTER_MODEL}", WEIGHTS)
        store.put(f"{name}/{ADAPTER_CONFIG}", CONFIG)
    yield store
    store.close()


@pytest.fixture
def open_hooks(
    open_gate: OpenGate, seaweed: SeaweedServer, folder: str, theirs: S3Store
) -> OpenHooks:
    """A gate with one hook, `run`: of Standard Webhooks, unless it is told otherwise."""
    del theirs

    def opened(
        kind: str = "standard", *, settings: dict[str, Any] | None = None, **rule: Any
    ) -> Gate:
        place = {"adapter": f"s3://{BUCKET}/{folder}/{{data.id}}/"}
        own = HookRule(**{**SECRETS[kind], **place, **rule})
        sources = SourceSettings(s3_allow=[f"s3://{BUCKET}/{folder}/"], s3=access(seaweed))
        gate = open_gate(**{"hooks": {"run": own}, "sources": sources, **(settings or {})})
        gate.register()
        return gate

    return opened


def send(
    gate: Gate, body: bytes = DONE, headers: dict[str, str] | None = None, source: str = "run"
) -> Response:
    sent = standard(body) if headers is None else headers
    return gate.client.post(f"/v1/hooks/{source}", content=body, headers=sent)


def jobs(gate: Gate, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gate.client.get("/v1/jobs", params=query).json()["jobs"]
    return found


@pytest.mark.parametrize("kind", sorted(set(SENDERS) - {"s3"}))
def test_event_of_each_sender_becomes_a_job(open_hooks: OpenHooks, folder: str, kind: str) -> None:
    """Of the adapter that it tells of, with what the rule gives it; the same again is the same."""
    gate = open_hooks(
        kind,
        when={"type": TYPE},
        metadata={"run": "{data.id}", "by": kind},
        policy={"selection": {"threshold": 0.9}},
    )
    sent = SENDERS[kind](DONE)
    response = send(gate, headers=sent)
    assert response.status_code == 202, response.text
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["source"], job["state"]) == (f"s3://{BUCKET}/{folder}/ft-1/", "queued")
    assert job["metadata"] == {"run": "ft-1", "by": kind}
    assert job["policy"]["selection"]["threshold"] == 0.9
    assert gate.queued() == [job["id"]]
    again = send(gate, headers=sent)
    assert (again.status_code, again.json()["id"]) == (202, job["id"])
    gate.finish(gate.request_of(response))
    ended = send(gate, headers=sent)
    assert (ended.status_code, ended.json()["state"]) == (200, "succeeded")
    assert len(jobs(gate)) == 1


@pytest.mark.parametrize("sign", [standard, mlflow])
def test_id_stands_for_one_event(open_hooks: OpenHooks, sign: Callable[..., Any]) -> None:
    """Signed anew it is the same; with another body it is refused, and without effect."""
    gate = open_hooks(sign.__name__)
    first = send(gate, headers=sign(DONE, event_id="evt_1")).json()["id"]
    assert send(gate, headers=sign(DONE, event_id="evt_1")).json()["id"] == first
    other = event(type=TYPE, data={"id": "ft-1"}, created_at=2)
    refused = send(gate, other, sign(other, event_id="evt_1"))
    assert (refused.status_code, code_of(refused)) == (422, "hook_event_reused")
    assert send(gate, other, sign(other, event_id="evt_2")).json()["id"] != first
    assert len(jobs(gate)) == 2


def test_same_event_at_once_makes_one_job(open_hooks: OpenHooks) -> None:
    """One conditional put decides."""
    gate = open_hooks()
    sent = standard(DONE)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(gate, headers=sent), range(8)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(gate.queued()) == 1


def test_ids_of_events_are_out_of_callers_reach(open_hooks: OpenHooks) -> None:
    """An Idempotency-Key of the same letters is another key; claims lie where they expire."""
    gate = open_hooks()
    job = send(gate, headers=standard(DONE, event_id="evt_1")).json()["id"]
    for key in ("evt_1", "run evt_1", "hook run id evt_1"):
        assert gate.post(idempotency_key=key).json()["id"] != job
    for key in ("hook\nrun\nid evt_1", "hook\\nrun\\nid evt_1"):
        files = {"adapter": WEIGHTS, "config": CONFIG}
        headers = {b"Idempotency-Key": key.encode()}
        if "\n" in key:
            odd = gate.client.post("/v1/jobs", files=files, headers=headers)
            assert code_of(odd) == "idempotency_key_invalid"
        else:
            assert gate.client.post("/v1/jobs", files=files, headers=headers).json()["id"] != job
    claims = list(gate.services.store.list(layout.idempotency_claims("default")))
    assert len(claims) == 5


def test_event_that_broke_off_is_finished_by_the_next(open_hooks: OpenHooks) -> None:
    """Claimed and never stored: sent again it is stored under the job that was promised."""
    gate = open_hooks()
    sent = standard(DONE)
    first = send(gate, headers=sent).json()["id"]
    gate.services.store.delete(layout.job_request("default", first))
    assert send(gate, headers=sent).json()["id"] == first
    assert gate.services.records.request("default", first) is not None


def test_what_the_rule_does_not_want_is_ignored(open_hooks: OpenHooks) -> None:
    """With 200, so that the sender is content; and its id is not used up."""
    gate = open_hooks(when={"type": TYPE, "data.id": "ft-1"})
    for body in (event(type="other"), event(data={"id": "ft-1"}), event(type=TYPE, data="ft-1")):
        response = send(gate, body)
        assert (response.status_code, list(response.json())) == (200, ["ignored"])
    assert jobs(gate) == []
    assert list(gate.services.store.list("tenants/")) == []


@pytest.mark.parametrize(
    ("adapter", "status", "code"),
    [
        ("{data.uri}", 403, "source_not_allowed"),
        ("{type}", 422, "source_invalid"),
        ("{data}", 422, "hook_value_invalid"),
        ("{data.missing}", 422, "hook_field_missing"),
        (f"s3://{BUCKET}/x/{{data.path}}/", 422, "hook_value_invalid"),
        (f"s3://{BUCKET}/x/{{+data.path}}/", 422, "hook_value_invalid"),
        (f"s3://{BUCKET}/elsewhere/{{data.id}}/", 403, "source_not_allowed"),
        ("s3://gate/{data.id}/", 403, "source_not_allowed"),
    ],
)
def test_what_an_event_names_is_checked_like_a_callers(
    open_hooks: OpenHooks, adapter: str, status: int, code: str
) -> None:
    """By the same allow-list, with the same codes; the log names source and code alone."""
    gate = open_hooks(adapter=adapter)
    response = send(gate)
    assert (response.status_code, code_of(response)) == (status, code)
    assert jobs(gate) == []


def test_whole_address_may_come_from_a_field(open_hooks: OpenHooks, folder: str) -> None:
    """Where the operator allows its folder."""
    gate = open_hooks(adapter="{data.adapter_uri}")
    uri = f"s3://{BUCKET}/{folder}/ft-2/"
    assert send(gate, event(data={"adapter_uri": uri})).json()["source"] == uri


def test_refused_event_is_good_once_that_is_mended(open_hooks: OpenHooks) -> None:
    """So that a sender's own second try is the remedy."""
    gate = open_hooks(alignment="later")
    sent = standard(DONE)
    assert code_of(send(gate, headers=sent)) == "alignment_unknown"
    gate.register("later")
    assert send(gate, headers=sent).status_code == 202


def test_full_queue_is_said_to_senders(open_hooks: OpenHooks) -> None:
    """With 503 and when to try again; what was accepted before is answered all the same."""
    queue = QueueSettings(name=f"test-{uuid4().hex}", max_depth=1)
    gate = open_hooks(settings={"queue": queue})
    sent = standard(DONE)
    assert send(gate, headers=sent).status_code == 202
    assert send(gate, headers=sent).status_code == 202
    response = send(gate)
    assert (response.status_code, code_of(response)) == (503, "queue_full")
    assert int(response.headers["retry-after"]) > 0


def test_floor_holds_unless_the_rule_may_go_below(open_hooks: OpenHooks) -> None:
    """A rule is as a key: it needs the scope."""
    weak = json.loads(weaker_policy())
    assert code_of(send(open_hooks(policy=weak))) == "policy_below_floor"
    gate = open_hooks(policy=weak, scopes=["policy:override"])
    job = send(gate).json()
    assert (job["policy"]["selection"]["threshold"], job["below_floor"]) == (0.1, ["selection"])


def test_jobs_are_the_tenants_of_the_rule(open_hooks: OpenHooks) -> None:
    """Its keys see them and no others; hooks need no key, and give nobody one."""
    keys = AccessSettings(
        keys=[
            ApiKey(id=name, sha256=sha256_hex(name.encode()), tenant=name)
            for name in ("alice", "bob")
        ]
    )
    gate = open_hooks(tenant="alice", settings={"access": keys})
    job = send(gate).json()["id"]
    as_alice, as_bob = ({"Authorization": f"Bearer {name}"} for name in ("alice", "bob"))
    assert gate.client.get(f"/v1/jobs/{job}", headers=as_alice).status_code == 200
    assert gate.client.get(f"/v1/jobs/{job}", headers=as_bob).status_code == 404
    assert code_of(send(gate, headers=as_alice)) == "hook_signature_invalid"
    for path in ("/v1/hooks", "/v1/hooks/../jobs", "/v1/hooks/%2e%2e/jobs", "/v1/jobs"):
        response = gate.client.get(path, headers=standard(DONE))
        assert response.status_code in (401, 404), path
        assert "jobs" not in response.json()


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Host": ""}]
)
def test_without_keys_only_this_machine_is_answered(
    open_hooks: OpenHooks, headers: dict[str, str]
) -> None:
    """A signature does not change that."""
    response = send(open_hooks(), headers=standard(DONE) | headers)
    assert (response.status_code, code_of(response)) == (403, "loopback_only")


@pytest.mark.parametrize("source", ["nobody", "RUN", "run%20", "%C3%A9", "..%2frun", "x" * 300])
def test_unknown_source_is_not_found(open_hooks: OpenHooks, source: str) -> None:
    """Whatever is sent to it."""
    gate = open_hooks()
    for headers in (standard(DONE), {}):
        response = send(gate, source=source, headers=headers)
        assert response.status_code == 404
        assert code_of(response) in ("hook_not_found", "not_found")


def test_unknown_source_is_verified_too(
    open_hooks: OpenHooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its body is read and its signature made, so that it costs what a wrong signature does."""
    gate = open_hooks()
    made: list[str] = []
    real = hmac.digest

    def counted(key: bytes, message: bytes, kind: Any) -> bytes:
        made.append(message.decode())
        result: bytes = real(key, message, kind)
        return result

    monkeypatch.setattr("app.hooks.verify.hmac.digest", counted)
    wrong = standard(DONE) | {"webhook-signature": "v1,AAAA"}
    for source in ("run", "nobody"):
        send(gate, headers=wrong, source=source)
    assert len(made) == 2
    assert made[0] == made[1]


def test_time_outside_is_said_only_to_who_has_the_secret(open_hooks: OpenHooks) -> None:
    """To others the signature is wrong."""
    gate = open_hooks()
    old = standard(DONE, at=1_700_000_000)
    response = send(gate, headers=old)
    assert (response.status_code, code_of(response)) == (401, "hook_timestamp_outside")
    response = send(gate, headers=old | {"webhook-signature": "v1,AAAA"})
    assert (response.status_code, code_of(response)) == (401, "hook_signature_invalid")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_invalid"),
        (b"{", "json_invalid"),
        (b'{"type": NaN}', "json_invalid"),
        (b'{"type": 1, "type": 2}', "json_invalid"),
        (b"[" * 100_000, "json_invalid"),
        (b"[]", "hook_event_invalid"),
        (b'"x"', "hook_event_invalid"),
    ],
)
def test_body_is_read_strictly_once_it_is_verified(
    open_hooks: OpenHooks, body: bytes, code: str
) -> None:
    """Not before: an unsigned one is only unsigned."""
    gate = open_hooks()
    assert code_of(send(gate, body)) == code
    assert code_of(send(gate, body, {})) == "hook_signature_invalid"


def test_large_body_is_refused(open_hooks: OpenHooks) -> None:
    """Events are small, signed or not."""
    gate = open_hooks()
    body = b"x" * (MAX_EVENT + 1)
    for headers in (standard(body), {}):
        response = send(gate, body, headers)
        assert (response.status_code, code_of(response)) == (413, "too_large")


def test_log_has_source_and_code_and_no_secret(
    open_hooks: OpenHooks, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody reads a webhook's answer: the operator's log has to tell."""
    caplog.set_level(logging.INFO)
    gate = open_hooks("huggingface", adapter="{data.missing}")
    send(gate, headers={"X-Webhook-Secret": SECRET})
    send(gate, headers={"X-Webhook-Secret": f"{SECRET}x"})
    send(gate, headers={"X-Webhook-Secret": SECRET}, source="no\u2028body")
    own = [record.getMessage() for record in caplog.records if record.name == "app.api.hooks"]
    assert own == [
        "an event of hook run was refused: hook_field_missing",
        "an event of hook run was refused: hook_signature_invalid",
    ]
    assert SECRET not in caplog.text


def test_events_are_counted_for_the_tenant_of_the_rule(open_hooks: OpenHooks) -> None:
    """As its requests are; what is not signed well takes nothing from it, nor from others."""
    bound = {"acme": TenantSettings(requests_per_minute=2)}
    gate = open_hooks(tenant="acme", when={"a": 1}, settings={"tenants": bound})
    wrong = standard(DONE) | {"webhook-signature": "v1,AAAA"}
    assert [send(gate, headers=wrong).status_code for _ in range(4)] == [401] * 4
    assert [send(gate).status_code for _ in range(3)] == [200, 200, 429]
    refused = send(gate)
    assert code_of(refused) == "rate_limited"
    assert int(refused.headers["Retry-After"]) > 1
    assert gate.client.get("/v1/jobs").status_code == 200


def test_who_is_not_let_in_is_told_to_wait(
    open_hooks: OpenHooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong keys and wrong signatures of an address count together; a good event gets in."""
    monkeypatch.setattr("app.main.Failures", partial(Failures, clock=lambda: 0.0))
    gate = open_hooks(
        settings={"access": AccessSettings(keys=[KEY_OF_ALICE], failures_per_minute=30)}
    )
    wrong = standard(DONE) | {"webhook-signature": "v1,AAAA"}
    codes = [code_of(gate.client.get("/v1/jobs")) for _ in range(15)]
    codes += [code_of(send(gate, headers=wrong)) for _ in range(14)]
    assert set(codes) == {"unauthorized", "hook_signature_invalid"}
    assert code_of(send(gate, source="nobody")) == "hook_not_found"
    for refused in (
        send(gate, headers=wrong),
        send(gate, source="nobody"),
        gate.client.get("/v1/jobs"),
    ):
        assert (refused.status_code, code_of(refused)) == (429, "too_many_failures")
        assert int(refused.headers["Retry-After"]) >= 1
    assert send(gate).status_code == 202


@pytest.mark.parametrize("keys", [True, False])
def test_audit_log_names_source_and_tenant(
    open_hooks: OpenHooks, tmp_path: Path, keys: bool
) -> None:
    """Once the signature holds, and no sooner."""
    log = tmp_path / "audit.jsonl"
    known = [KEY_OF_ALICE] if keys else []
    access = AccessSettings(keys=known, audit_log=str(log))
    gate = open_hooks(tenant="acme", settings={"access": access})
    job_id = send(gate).json()["id"]
    other = event(type=TYPE, data={"id": "../x"})
    send(gate, other)
    send(gate, headers=standard(DONE) | {"webhook-signature": "v1,AAAA"})
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    short = [
        {name: line.get(name) for name in ("action", "tenant", "key", "status", "code", "job")}
        for line in lines
    ]
    by = {"action": "hooks.create", "tenant": "acme", "key": "hook:run"}
    nobody = by | {"tenant": None, "key": None}
    assert short == [
        by | {"status": 202, "code": None, "job": job_id},
        by | {"status": 422, "code": "hook_value_invalid", "job": None},
        nobody | {"status": 401, "code": "hook_signature_invalid", "job": None},
    ]


def test_secret_in_a_file_is_read_at_the_start(open_hooks: OpenHooks, tmp_path: Path) -> None:
    """A file that is not there stops the start, by the source's name."""
    file = tmp_path / "secret"
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_HOOKS__RUN: secret_file: "):
        open_hooks(secret=None, secret_file=file)
    file.write_text(f"{WHSEC}\n")
    gate = open_hooks(secret=None, secret_file=file)
    file.unlink()
    assert send(gate).status_code == 202


def test_without_hooks_there_are_no_sources(gate: Gate) -> None:
    """By default nothing is let in."""
    assert code_of(send(gate)) == "hook_not_found"
    assert create_app(Settings()).state.hooks.find("run") is None


def test_examples_of_answers_are_some() -> None:
    """Examples that no longer fit are worse than none."""
    for example in (IGNORED, WAITING):
        view = NoJobView.model_validate(example)
        assert view.model_dump(exclude_unset=True) == example
    assert EventView.model_validate(SEVERAL).jobs[0].id == SEVERAL["jobs"][0]["id"]


@pytest.mark.parametrize("kind", SENDERS)
def test_no_secret_shows_where_its_holder_is_printed(kind: str) -> None:
    """Not even in a traceback that prints its variables."""
    place = {"prefix" if kind == "s3" else "adapter": "s3://ft-outputs/in/"}
    rule = HookRule(**{**SECRETS[kind], **place})
    shown = f"{rule!r} {verifier(rule)!r}"
    assert SECRET not in shown
    assert WHSEC not in shown
    assert repr(standard_key(WHSEC)) not in shown
