"""Browsers signed in with a key, and what other sites' pages can make of that."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from httpx2 import Response
from pydantic import SecretStr

from app.access import keyring
from core.keys import Keys
from core.scopes import JOBS
from core.settings import AccessSettings, LimitSettings, RedisSettings
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate
from tests.app.test_access import access, bearer, key
from tests.servers import free_ports

KEY: Final = "slg_of-alice"
HERE: Final = {"Origin": "http://localhost"}
COOKIE: Final = "safelora-session"
REDIRECTS: Final = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "/%2f/evil.example",
    "/jobs/../../evil",
    "/v1/jobs",
    "javascript:alert(1)",
    "/jobs/a\r\nSet-Cookie: a=b",
    "/sign-out",
    "",
]


@pytest.fixture
def keyed(open_gate: OpenGate) -> Gate:
    gate = open_gate(access=access(key(KEY, "alice", "jobs"), key("slg_of-bob", "bob")))
    gate.register()
    return gate


def sign_in(
    gate: Gate, text: str = KEY, wanted: str = "/", headers: dict[str, str] | None = None
) -> Response:
    form = {"key": text, "next": wanted}
    return gate.client.post("/sign-in", data=form, headers=HERE if headers is None else headers)


def as_browser_of(gate: Gate, text: str) -> None:
    """From here on the gate's client is one that was signed in with this key."""
    gate.client.cookies.clear()
    gate.client.headers.update({"Sec-Fetch-Site": "same-origin"})
    assert sign_in(gate, text, headers={}).status_code == 303


def post(gate: Gate, headers: dict[str, str]) -> Response:
    files = {"adapter": WEIGHTS, "config": CONFIG}
    return gate.client.post("/v1/jobs", files=files, headers=headers)


def test_who_signs_in_may_do_what_the_key_may(keyed: Gate) -> None:
    """Pages, and the API that they ask; and a key without a scope gets none by it."""
    answer = sign_in(keyed)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert post(keyed, HERE).status_code == 202
    assert len(keyed.client.get("/v1/jobs").json()["jobs"]) == 1
    assert keyed.client.get("/").status_code == 200
    assert keyed.client.get("/v1/webhooks").json()["code"] == "scope_missing"
    assert sign_in(keyed, "slg_of-bob").status_code == 303
    assert keyed.client.get("/v1/jobs").json()["code"] == "scope_missing"


def test_page_leads_to_signing_in_and_back(keyed: Gate) -> None:
    """Nothing of it is shown before."""
    answer = keyed.client.get("/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z?a=b")
    assert answer.status_code == 303
    form = keyed.client.get(answer.headers["location"]).text
    wanted = re.findall(r'name="next" value="([^"]*)"', form)
    assert wanted == ["/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z?a=b"]
    assert sign_in(keyed, wanted=wanted[0]).headers["location"] == wanted[0]
    assert keyed.client.get("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize("wanted", REDIRECTS)
def test_signing_in_leads_nowhere_else(keyed: Gate, wanted: str) -> None:
    """Whatever a link to it asks for."""
    assert sign_in(keyed, wanted=wanted).headers["location"] == "/"
    keyed.client.cookies.clear()
    form = keyed.client.get("/sign-in", params={"next": wanted}).text
    assert re.findall(r'name="next" value="([^"]*)"', form) == ["/"]


def test_cookie_is_for_no_script_and_no_other_host(open_gate: OpenGate) -> None:
    """And under TLS for nothing else than TLS."""
    gate = open_gate(access=access(key(KEY, "alice", "jobs")))
    plain = sign_in(gate).headers["set-cookie"]
    assert re.fullmatch(
        rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=lax", plain, re.IGNORECASE
    )
    gate.client.base_url = "https://localhost"
    secure = sign_in(gate, headers={"Origin": "https://localhost"}).headers["set-cookie"]
    assert secure.startswith("__Host-safelora-session=")
    assert "; Secure" in secure
    assert gate.client.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_other_sites_change_nothing(keyed: Gate, headers: dict[str, str]) -> None:
    """Though the browser sends its cookie: not a job, nor a session, nor the end of one."""
    sign_in(keyed)
    answer = post(keyed, headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    for path in ("/sign-in", "/sign-out"):
        refused = keyed.client.post(path, data={"key": KEY}, headers=headers)
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
    assert keyed.client.get("/v1/jobs").json()["jobs"] == []
    assert post(keyed, {**headers, **bearer(KEY)}).status_code == 202  # no browser adds a key


def test_pages_own_requests_need_one_sign_only(keyed: Gate) -> None:
    """Browsers that tell no site tell an origin; behind a proxy only the site is to be trusted."""
    sign_in(keyed)
    assert post(keyed, {"Sec-Fetch-Site": "same-origin", "Host": "inner:8000"}).status_code == 202
    assert post(keyed, {"Origin": "HTTP://LOCALHOST"}).status_code == 202


def test_signed_out_is_over_for_every_copy_of_the_cookie(keyed: Gate) -> None:
    """Not only for the browser that forgets it; signing in anew ends the session before, too."""
    sign_in(keyed)
    first = keyed.client.cookies[COOKIE]
    sign_in(keyed)
    second = keyed.client.cookies[COOKIE]
    assert keyed.client.post("/sign-out", headers=HERE).headers["location"] == "/sign-in"
    assert COOKIE not in keyed.client.cookies
    for token in (first, second):
        answer = keyed.client.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_wrong_keys_are_told_so_and_counted(open_gate: OpenGate) -> None:
    """As on the API; a right one is let in all the same."""
    settings = access(key(KEY, "alice", "jobs")).model_copy(update={"failures_per_minute": 2})
    gate = open_gate(access=settings)
    for wrong in ("slg_wrong", ""):
        answer = sign_in(gate, wrong)
        assert answer.status_code == 401
        assert "does not know this key" in answer.text
        assert "slg_wrong" not in answer.text
        assert "set-cookie" not in answer.headers
    answer = sign_in(gate, "slg_wrong")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert sign_in(gate).status_code == 303


def test_revoked_key_ends_its_sessions(
    open_gate: OpenGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the seconds that a key is believed for."""
    monkeypatch.setattr(keyring, "SECONDS", 0.0)
    gate = open_gate()
    keys = Keys(gate.services.store)
    new = keys.create("alice", [JOBS], timedelta(days=1))
    assert sign_in(gate, new.text).status_code == 303
    assert gate.client.get("/v1/jobs").status_code == 200
    keys.revoke(new.record)
    answer = gate.client.get("/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")
    assert gate.client.get("/").status_code == 303
    assert sign_in(gate, new.text).status_code == 401


def test_redis_holds_nothing_to_sign_in_with(keyed: Gate) -> None:
    """Neither the cookie nor the key, nor what a key is known by; nor does it take what was put
    there without the cookie."""
    redis = keyed.services.queue.redis
    sign_in(keyed)
    token = keyed.client.cookies[COOKIE]
    [place] = redis.scan_iter("safelora:sessions:*")
    kept = redis.get(place)
    assert isinstance(kept, bytes)
    sha256 = keyed.services.settings.access.keys[0].sha256
    for secret in (token, KEY, sha256):
        assert secret.encode() not in place + kept
    sign_in(keyed)
    [other] = redis.scan_iter("safelora:sessions:*")
    for forged in (kept, b"", f'["{sha256}", null]'.encode(), b"\xff" * 100):
        redis.set(other, forged)
        assert keyed.client.get("/v1/jobs").status_code == 401


def test_session_ends_by_itself(open_gate: OpenGate) -> None:
    """After the hours of the setting, used or not."""
    settings = AccessSettings(keys=access(key(KEY, "alice", "jobs")).keys, session_hours=0.5)
    gate = open_gate(access=settings)
    sign_in(gate)
    [place] = gate.services.queue.redis.scan_iter("safelora:sessions:*")
    assert 1700 < gate.services.queue.redis.ttl(place) <= 1800
    gate.services.queue.redis.delete(place)
    assert gate.client.get("/v1/jobs").status_code == 401
    assert gate.client.get("/").status_code == 303


def test_header_counts_where_there_are_both(keyed: Gate) -> None:
    """A wrong key is not made up for by a cookie."""
    sign_in(keyed)
    assert keyed.client.get("/v1/jobs", headers=bearer("slg_wrong")).status_code == 401
    answer = keyed.client.get("/v1/jobs", headers=bearer("slg_of-bob"))
    assert answer.json()["code"] == "scope_missing"


def test_session_is_good_where_keys_are_being_guessed(open_gate: OpenGate) -> None:
    """From the same address, at a process that has not seen its key yet: nobody can have begun it
    without the key."""
    settings = AccessSettings(failures_per_minute=1)
    gate = open_gate(access=settings)
    new = Keys(gate.services.store).create("alice", [JOBS], timedelta(days=1))
    sign_in(gate, new.text)
    restarted = open_gate(access=settings, queue=gate.services.settings.queue)
    restarted.client.cookies = gate.client.cookies
    for _ in range(3):
        restarted.client.get("/v1/jobs", headers=bearer("slg_wrong"))
    assert restarted.client.get("/v1/jobs").status_code == 200


def test_pages_are_no_place_to_try_keys(keyed: Gate) -> None:
    """They take a session alone: else each guess would cost a look into the store, uncounted."""
    assert keyed.client.get("/", headers=bearer(KEY)).status_code == 303
    sign_in(keyed)
    assert keyed.client.get("/", headers=bearer("slg_wrong")).status_code == 200


def test_signing_in_counts_as_the_tenants_requests(open_gate: OpenGate) -> None:
    """So that one key begins no sessions without bound."""
    limits = LimitSettings(requests_per_minute=3)
    gate = open_gate(access=access(key(KEY, "alice", "jobs")), limits=limits)
    statuses = []
    for _ in range(5):
        gate.client.cookies.clear()
        statuses.append(sign_in(gate).status_code)
    assert statuses == [303, 303, 303, 429, 429]


def test_what_a_session_is_shown_is_kept_by_nobody(keyed: Gate) -> None:
    """With a cookie there is no header by which a shared cache would know that it is private."""
    sign_in(keyed)
    job = post(keyed, HERE).json()
    for path in ("/v1/jobs", f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/report.csv", "/"):
        assert "no-store" in keyed.client.get(path).headers["cache-control"], path


def test_refused_sign_in_is_audited_by_its_code(open_gate: OpenGate, tmp_path: Path) -> None:
    """As a refusal of the API is."""
    log = tmp_path / "audit.jsonl"
    keys = access(key(KEY, "alice", "jobs")).keys
    sign_in(open_gate(access=AccessSettings(keys=keys, audit_log=str(log))), "slg_wrong")
    assert json.loads(log.read_text())["code"] == "unauthorized"


def test_without_redis_keys_work_and_sessions_say_why_not(open_gate: OpenGate) -> None:
    """A page for a browser, a problem for its script; nobody is taken for signed out."""
    (port,) = free_ports(1)
    redis = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}"), connect_timeout=0.2)
    gate = open_gate(access=access(key(KEY, "alice", "jobs")), redis=redis)
    assert gate.client.get("/v1/jobs", headers=bearer(KEY)).status_code == 200
    cookie = {"Cookie": f"{COOKIE}={'a' * 43}"}
    asked = gate.client.get("/v1/jobs", headers=cookie)
    assert (asked.status_code, asked.json()["code"]) == (503, "queue_unavailable")
    for answer in (gate.client.get("/", headers=cookie), sign_in(gate)):
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        assert "the queue does not answer" in answer.text
