"""The audit log: a line for each change, each download of an adapter and each refusal."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.access.audit import AuditLog
from app.access.auditing import _action
from core.jobs import JobState
from core.keys import Keys
from core.settings import AccessSettings, LimitSettings, SettingsInvalid
from tests.app.conftest import OpenGate
from tests.app.following import posted
from tests.app.gate import CONFIG, Gate, code_of, weaker_policy
from tests.app.test_access import access, bearer, key

KEY, OPERATOR = "slg_alice-secret", "slg_root-secret"
KEYS = access(
    key(KEY, "alice", "jobs"), key(OPERATOR, "root", "jobs", "alignments", "policy:override")
).keys


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def gate(open_gate: OpenGate, log: Path) -> Gate:
    """With two tenants; Alice is calling."""
    opened = open_gate(bearer(KEY), access=AccessSettings(keys=KEYS, audit_log=str(log)))
    opened.register()
    return opened


def lines(log: Path) -> list[dict[str, Any]]:
    """Each parsed, its time checked and taken out; they are read once."""
    text = log.read_text()
    assert text == "" or text.endswith("\n")
    log.write_text("")
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert line.pop("at").endswith("Z")
    return found


def test_a_job_from_beginning_to_end(gate: Gate, log: Path) -> None:
    """Who did what to which job, with what outcome; reading is no entry, downloads are."""
    who = {"tenant": "alice", "key": "alice", "client": "127.0.0.1"}
    gate.client.headers["X-Request-Id"] = "run-7"
    who["request"] = "run-7"
    posting = gate.post(alignment="base")
    job_id = posting.json()["id"]
    gate.client.get(f"/v1/jobs/{job_id}")
    gate.client.get("/v1/jobs")
    gate.client.get(f"/v1/jobs/{job_id}/adapter")  # 409: none is taken
    request = gate.services.records.request("alice", job_id)
    assert request is not None
    gate.finish(request)
    gate.client.get(f"/v1/jobs/{job_id}/report.html")
    gate.client.get(f"/v1/jobs/{job_id}/adapter")
    gate.client.get(f"/v1/jobs/{job_id}/adapter/adapter_config.json")
    gate.client.post(f"/v1/jobs/{job_id}/cancel")
    gate.client.delete(f"/v1/jobs/{job_id}")
    job = who | {"job": job_id}
    assert lines(log) == [
        job | {"action": "jobs.create", "status": 202},
        job | {"action": "jobs.adapter.read", "status": 200},
        job | {"action": "jobs.adapter.read", "status": 200},
        job | {"action": "jobs.cancel", "status": 409, "code": "job_ended"},
        job | {"action": "jobs.delete", "status": 204},
    ]


def test_a_retry_names_the_new_job(gate: Gate, log: Path) -> None:
    """It is what was made."""
    job_id = posted(gate)
    gate.client.post(f"/v1/jobs/{job_id}/cancel")
    lines(log)
    new = gate.client.post(f"/v1/jobs/{job_id}/retry").json()
    assert new["state"] == JobState.QUEUED
    [line] = lines(log)
    assert (line["action"], line["job"]) == ("jobs.retry", new["id"])


def test_a_policy_below_the_floor_is_an_entrys_word(gate: Gate, log: Path) -> None:
    """Of the job that is posted, and of the one that tries it again; of no other."""
    gate.client.headers.update(bearer(OPERATOR))
    job_id = gate.post(policy=weaker_policy(strength=0.5)).json()["id"]
    gate.client.post(f"/v1/jobs/{job_id}/cancel")
    gate.client.post(f"/v1/jobs/{job_id}/retry")
    assert [(line["action"], line.get("below_floor")) for line in lines(log)] == [
        ("jobs.create", "selection, strength"),
        ("jobs.cancel", None),
        ("jobs.retry", "selection, strength"),
    ]


def test_alignments_are_named(gate: Gate, log: Path) -> None:
    """Registered, changed, removed, and refused."""
    gate.client.headers.update(bearer(OPERATOR))
    floor = {"floor": {"selection": {"threshold": 0.2}}}
    gate.client.patch("/v1/alignments/base", json=floor)
    gate.client.delete("/v1/alignments/base")
    gate.client.delete("/v1/alignments/base")
    gate.client.delete("/v1/alignments/base", headers=bearer(KEY))
    short = [
        (line["action"], line["tenant"], line["status"], line.get("code"), line["alignment"])
        for line in lines(log)
    ]
    assert short == [
        ("alignments.change", "root", 200, None, "base"),
        ("alignments.delete", "root", 204, None, "base"),
        ("alignments.delete", "root", 404, "alignment_not_found", "base"),
        ("alignments.delete", "alice", 403, "scope_missing", "base"),
    ]


def test_uploads_and_webhooks_are_named(open_gate: OpenGate, log: Path) -> None:
    """Announced, sent, removed; registered, changed, removed; and no secret is in a line."""
    keys = access(key(KEY, "alice", "jobs", "webhooks")).keys
    gate = open_gate(bearer(KEY), access=AccessSettings(keys=keys, audit_log=str(log)))
    files = [{"name": "adapter_config.json", "size": len(CONFIG)}]
    upload = gate.client.post("/v1/uploads", json={"files": files}).json()["id"]
    gate.client.put(f"/v1/uploads/{upload}/files/adapter_config.json", content=CONFIG)
    gate.client.post(f"/v1/uploads/{upload}/complete")
    gate.client.delete(f"/v1/uploads/{upload}")
    secret = gate.client.post("/v1/webhooks/secret").json()["secret"]
    order = {"url": "https://told.example/a-token-of-theirs"}
    webhook = gate.client.post("/v1/webhooks", json=order).json()["id"]
    gate.client.patch(f"/v1/webhooks/{webhook}", json={"enabled": False})
    gate.client.delete(f"/v1/webhooks/{webhook}")
    assert secret not in log.read_text()
    assert "a-token-of-theirs" not in log.read_text()
    short = [
        (line["action"], line["status"], line.get("upload"), line.get("webhook"))
        for line in lines(log)
    ]
    assert short == [
        ("uploads.create", 201, upload, None),
        ("uploads.files.replace", 200, upload, None),
        ("uploads.complete", 200, upload, None),
        ("uploads.delete", 204, upload, None),
        ("webhooks.secret.create", 201, None, None),
        ("webhooks.create", 201, None, webhook),
        ("webhooks.change", 200, None, webhook),
        ("webhooks.delete", 204, None, webhook),
    ]


def test_refusals_are_entries_whatever_was_asked(open_gate: OpenGate, log: Path) -> None:
    """401, 403 and 429 of reading too, before a route was found and where there is none."""
    gate = open_gate(
        access=AccessSettings(keys=KEYS, audit_log=str(log)),
        limits=LimitSettings(requests_per_minute=1),
    )
    gate.register()
    gate.client.get("/v1/jobs/0123456789abcdefghjkmnpqrs")
    gate.client.get("/nowhere")
    gate.client.headers.update(bearer(KEY))
    gate.post(policy=weaker_policy())
    gate.client.get("/v1/alignments/base")
    found = lines(log)
    for line in found:
        assert len(line.pop("request")) == 32
        assert line.pop("client") == "127.0.0.1"
    alice = {"tenant": "alice", "key": "alice"}
    lacking = {"status": 401, "code": "unauthorized"}
    assert found == [
        {"action": "jobs.read", "job": "0123456789abcdefghjkmnpqrs", **lacking},
        {"action": "none", **lacking},
        {"action": "jobs.create", "status": 403, "code": "policy_below_floor", **alice},
        {
            "action": "alignments.read",
            "status": 429,
            "code": "rate_limited",
            "alignment": "base",
            **alice,
        },
    ]


def test_a_key_that_is_good_no_more_is_named(open_gate: OpenGate, log: Path) -> None:
    """Its holder showed the whole key; who only knows the id is nobody."""
    gate = open_gate(access=AccessSettings(audit_log=str(log)))
    new = Keys(gate.services.store).create("alice", ["jobs"], None)
    Keys(gate.services.store).revoke(new.record)
    gate.client.get("/v1/jobs", headers=bearer(new.text))
    gate.client.get("/v1/jobs", headers=bearer(f"slg_{new.record.id}_{'x' * 43}"))
    revoked, guess = lines(log)
    assert (revoked["key"], revoked["code"]) == (new.record.id, "key_revoked")
    assert "key" not in guess
    assert "tenant" not in guess


HUSH = "hush-hush"


@pytest.mark.parametrize(
    ("method", "path", "headers", "json_body"),
    [
        ("POST", f"/v1/jobs?token={HUSH}", {}, {"source": HUSH}),
        ("POST", f"/v1/jobs/{HUSH}/cancel", {}, None),
        ("DELETE", f"/v1/jobs/{HUSH}", {}, None),
        ("POST", f"/v1/{HUSH}", {}, None),
        ("GET", "/v1/jobs", bearer(HUSH), None),
        ("POST", "/v1/jobs", {"Cookie": HUSH, "Idempotency-Key": HUSH, "User-Agent": HUSH}, {}),
        ("POST", "/v1/alignments", {}, {"name": HUSH}),
        ("POST", "/v1/jobs", {"X-Request-Id": f"slg_{HUSH}"}, {}),
        ("POST", "/v1/jobs", {"X-Request-Id": f"{HUSH}\t"}, {}),
        (HUSH, "/v1/jobs", {}, None),
    ],
)
def test_nothing_of_the_senders_gets_in(
    gate: Gate, log: Path, method: str, path: str, headers: dict[str, str], json_body: Any
) -> None:
    """No query, body, header, or part of a path that is no id."""
    gate.client.request(method, path, headers=headers, json=json_body)
    assert log.read_text().count("\n") == 1
    assert HUSH not in log.read_text().lower()


def test_a_request_id_of_a_plain_form_is_kept(gate: Gate) -> None:
    """On every answer; any other is replaced."""
    for path in ("/livez", "/v1/jobs", "/nowhere"):
        response = gate.client.get(path, headers={"X-Request-Id": "trace-1.2_3"})
        assert response.headers.get_list("X-Request-Id") == ["trace-1.2_3"]
    seen = set()
    for sent in ("", "a b", "ä", "x" * 65, '"', "slg_key", "a\tb", "a,b", "{}"):
        response = gate.client.get("/livez", headers={b"X-Request-Id": sent.encode("latin-1")})
        made = response.headers["X-Request-Id"]
        assert len(made) == 32
        assert made != sent
        seen.add(made)
    twice: Any = [("X-Request-Id", "a"), ("X-Request-Id", "b")]
    seen.add(gate.client.get("/livez", headers=twice).headers["X-Request-Id"])
    assert len(seen) == 10


def test_what_fails_unforeseen_is_an_entry_too(
    gate: Gate, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the request id that its answer has."""
    monkeypatch.setattr(gate.services.records, "request", None)
    response = gate.client.post("/v1/jobs/0123456789abcdefghjkmnpqrs/cancel")
    assert (response.status_code, code_of(response)) == (500, "internal_error")
    [line] = lines(log)
    assert (line["status"], line["code"], line["action"]) == (500, "internal_error", "jobs.cancel")
    assert response.headers["X-Request-Id"] == line["request"]


def test_a_log_that_cannot_be_written_stops_the_start(open_gate: OpenGate, tmp_path: Path) -> None:
    """By the setting's name, with the reason."""
    for place in (tmp_path, tmp_path / "no" / "audit.jsonl"):
        with pytest.raises(SettingsInvalid, match=r"^SAFELORA_ACCESS__AUDIT_LOG: .* cannot be"):
            open_gate(access=AccessSettings(audit_log=str(place)))


def test_a_line_that_is_lost_is_in_the_ordinary_log(
    gate: Gate, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes on: what it did is done, and is told as an error."""
    log.unlink()
    log.mkdir()
    with caplog.at_level(logging.ERROR, "app.access.audit"):
        job_id = posted(gate)
    [record] = caplog.records
    assert "Is a directory" in record.getMessage()
    told = json.loads(record.getMessage().partition("lacks: ")[2])
    assert (told["action"], told["job"], told["status"]) == ("jobs.create", job_id, 202)
    log.rmdir()
    gate.client.post(f"/v1/jobs/{job_id}/cancel")
    assert [line["action"] for line in lines(log)] == ["jobs.cancel"]


def test_the_file_may_be_moved_away(gate: Gate, log: Path, tmp_path: Path) -> None:
    """What comes after goes into a new one, which its owner alone can read."""
    posted(gate)
    log.rename(tmp_path / "audit.1")
    posted(gate)
    assert len((tmp_path / "audit.1").read_text().splitlines()) == 1
    assert len(lines(log)) == 1
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_off_and_stderr(open_gate: OpenGate, capfd: pytest.CaptureFixture[str]) -> None:
    """`off` writes nothing, `-` to stderr."""
    for place, count in (("off", 0), ("-", 1)):
        gate = open_gate(bearer(KEY), access=AccessSettings(keys=KEYS, audit_log=place))
        gate.client.post("/v1/jobs")
        assert capfd.readouterr().err.count('"action": "jobs.create"') == count


def test_processes_that_write_at_once_tear_no_line(log: Path) -> None:
    """Each line is one write at the end of the file, wherever that is by then."""
    code = (
        "import sys; from core.settings import AccessSettings\n"
        "from app.access.audit import AuditLog\n"
        "log = AuditLog(AccessSettings(audit_log=sys.argv[1]))\n"
        "for n in range(500): log.write(f'a{n}', {'key': sys.argv[2] * 500})\n"
    )
    command = [sys.executable, "-c", code, str(log)]
    processes = [subprocess.Popen([*command, letter]) for letter in "xyz"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = lines(log)
    assert len(found) == 1500
    for letter in "xyz":
        own = [line["action"] for line in found if line["key"] == letter * 500]
        assert own == [f"a{n}" for n in range(500)]


@given(st.text(), st.text())
@example("\n", "\x7f\x85\u2028\ud800\x1b[2J")
def test_no_text_breaks_a_line(action: str, text: str) -> None:
    """Control characters, separators of lines that only some readers know, half pairs."""
    reading, writing = os.pipe()
    written: list[bytes] = []
    with os.fdopen(reading, "rb") as reader:
        thread = threading.Thread(target=lambda: written.append(reader.read()))
        thread.start()
        AuditLog(AccessSettings(audit_log=f"/proc/self/fd/{writing}")).write(action, {"key": text})
        os.close(writing)
        thread.join()
    [line] = written
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert len(line.decode().splitlines()) == 1
    assert line.rstrip(b"\n").decode().isprintable()
    assert {"action": action, "key": text}.items() <= json.loads(line).items()


@pytest.mark.parametrize(
    ("method", "template", "action"),
    [
        ("POST", "/v1/jobs", "jobs.create"),
        ("POST", "/v1/jobs/{job_id}/retry", "jobs.retry"),
        ("DELETE", "/v1/jobs/{job_id}", "jobs.delete"),
        ("GET", "/v1/jobs/{job_id}/adapter/{filename}", "jobs.adapter.read"),
        ("PATCH", "/v1/alignments/{name}", "alignments.change"),
        ("POST", "/v1/hooks/{source}", "hooks.create"),
        ("POST", "/v1/webhooks/secret", "webhooks.secret.create"),
        ("POST", "/v1/jobs/{job_id}/deliveries/{delivery_id}/replay", "jobs.deliveries.replay"),
        ("POST", "/v1/uploads/{upload_id}/complete", "uploads.complete"),
        ("PUT", "/v1/uploads/{upload_id}/parts/{number}", "uploads.parts.replace"),
    ],
)
def test_actions_are_named_by_their_routes(method: str, template: str, action: str) -> None:
    """So that a route that is new has a name at once."""
    assert _action(method, template) == action
