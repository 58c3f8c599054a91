"""Who is let in: with keys their holders, without keys this machine only."""

import hashlib
import json

import pytest
from starlette.testclient import TestClient

from core.settings import AccessSettings, ApiKey
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of, weaker_policy

KEY, OTHER_KEY = "slg_alice-secret", "slg_bob-secret"


def key(text: str, tenant: str, *scopes: str) -> ApiKey:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(id=tenant, sha256=sha256, tenant=tenant, scopes=frozenset(scopes))


def access(*keys: ApiKey) -> AccessSettings:
    return AccessSettings(keys=list(keys))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def keyed(open_gate: OpenGate) -> Gate:
    """Two tenants, the second with every scope; no key is sent unless a test does."""
    return open_gate(
        access=access(
            key(KEY, "alice", "jobs"),
            key(OTHER_KEY, "bob", "jobs", "alignments", "policy:override"),
        )
    )


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000"])
def test_loopback_is_served_without_keys(gate: Gate, host: str) -> None:
    """On one's own machine everything works with no set-up."""
    response = gate.client.get("/v1/jobs", headers={"Host": host})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/readyz", "/version", "/docs", "/nowhere"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example:8000"},
        {"Host": "localhost:8000:8000"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost@evil.example"},
    ],
)
def test_foreign_names_are_refused_without_keys(
    gate: Gate, path: str, headers: dict[str, str]
) -> None:
    """A page that rebinds its name to 127.0.0.1 gives itself away by Host or Origin."""
    response = gate.client.get(path, headers=headers)
    assert (response.status_code, code_of(response)) == (403, "loopback_only")


def test_own_origin_is_served_without_keys(gate: Gate) -> None:
    """The gate's own page sends its Origin too; a page of another port here is not its own."""
    host = {"Host": "127.0.0.1:8000"}
    own = gate.client.get("/v1/jobs", headers=host | {"Origin": "http://127.0.0.1:8000"})
    other = gate.client.get("/v1/jobs", headers=host | {"Origin": "http://127.0.0.1:3000"})
    assert (own.status_code, other.status_code) == (200, 403)


@pytest.mark.parametrize("client", ["10.0.0.7", "8.8.8.8", "::ffff:10.0.0.7", "testclient"])
def test_other_machines_are_refused_without_keys(gate: Gate, client: str) -> None:
    """Even if they call us localhost."""
    elsewhere = TestClient(gate.client.app, base_url="http://localhost", client=(client, 50000))
    response = elsewhere.get("/v1/jobs")
    assert (response.status_code, code_of(response)) == (403, "loopback_only")


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_every_loopback_address_is_served(gate: Gate, client: str) -> None:
    """However the kernel spells it."""
    here = TestClient(gate.client.app, base_url="http://localhost", client=(client, 50000))
    assert here.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer{KEY}"},
        {"Authorization": f"Bearer\t{KEY}"},
        {"Authorization": f"Bearer {KEY}, Bearer {KEY}"},
        {"Proxy-Authorization": f"Bearer {KEY}"},
        {"Cookie": f"Authorization=Bearer {KEY}"},
        bearer(""),
        bearer("wrong"),
        bearer(KEY + "x"),
        bearer(hashlib.sha256(KEY.encode()).hexdigest()),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/alignments", "/nowhere"])
def test_without_a_good_key_nothing_is_told(
    keyed: Gate, headers: dict[str, str], path: str
) -> None:
    """401 for everything, what exists and what does not; the stored hash is no key."""
    response = keyed.client.get(path, headers=headers)
    assert (response.status_code, code_of(response)) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/openapi.json"])
def test_probes_need_no_key(keyed: Gate, path: str) -> None:
    """An orchestrator has none."""
    assert keyed.client.get(path).status_code == 200


def test_that_the_process_lives_is_told_to_all(gate: Gate) -> None:
    """Under any name, with keys and without: it says nothing of anyone."""
    assert gate.client.get("/livez", headers={"Host": "gate.example"}).status_code == 200


def test_with_keys_any_host_is_served(keyed: Gate) -> None:
    """A key is proof enough, behind whatever name."""
    headers = bearer(KEY) | {"Host": "gate.example", "Origin": "https://platform.example"}
    assert keyed.client.get("/v1/jobs", headers=headers).status_code == 200


def test_scheme_is_read_in_any_case(keyed: Gate) -> None:
    """RFC 9110: the scheme is case-insensitive."""
    headers = {"Authorization": f"bearer {KEY}"}
    assert keyed.client.get("/v1/jobs", headers=headers).status_code == 200


def test_others_jobs_do_not_exist(keyed: Gate) -> None:
    """Another tenant's job is a 404 on every address, and on no list."""
    keyed.register()
    keyed.client.headers.update(bearer(KEY))
    posted = keyed.post()
    job = keyed.request_of(posted, "alice")
    keyed.finish(job)
    keyed.client.headers.update(bearer(OTHER_KEY))
    for end in ("", "/report", "/report.html", "/adapter", "/adapter/adapter_config.json"):
        response = keyed.client.get(f"/v1/jobs/{job.id}{end}")
        assert (response.status_code, code_of(response)) == (404, "job_not_found")
    assert keyed.client.get("/v1/jobs").json()["jobs"] == []


def test_results_are_not_shared_between_tenants(keyed: Gate) -> None:
    """The same upload by another tenant is judged anew: nobody learns what others posted."""
    keyed.register()
    keyed.client.headers.update(bearer(KEY))
    keyed.finish(keyed.request_of(keyed.post(), "alice"))
    keyed.client.headers.update(bearer(OTHER_KEY))
    assert keyed.post().status_code == 202


def test_scope_is_needed(keyed: Gate) -> None:
    """A key does what its scopes say and no more."""
    response = keyed.client.post("/v1/alignments", headers=bearer(KEY), json={})
    assert (response.status_code, code_of(response)) == (403, "scope_missing")
    assert response.json()["scope"] == "alignments"
    keyed.register()
    response = keyed.client.delete("/v1/alignments/base", headers=bearer(KEY))
    assert (response.status_code, code_of(response)) == (403, "scope_missing")
    assert keyed.services.records.alignment("base") is not None


def test_scores_are_switched_off_by_the_operator_alone(keyed: Gate) -> None:
    """An uploader who leaves out scores that the floor has is refused; with an operator's default
    that leaves them out, whoever names no policy gets it."""
    lean = {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"}
    keyed.client.headers.update(bearer(KEY))
    keyed.register(default_policy={**lean, "scores": "all"})
    refused = keyed.post(policy=json.dumps(lean))
    assert (refused.status_code, code_of(refused)) == (403, "policy_below_floor")
    assert refused.json()["fields"] == ["scores"]
    keyed.register(default_policy=lean)
    assert keyed.post().json()["policy"]["scores"] == "spectrum"


def test_only_the_override_scope_goes_below_the_floor(keyed: Gate) -> None:
    """The uploader does not choose how hard to look."""
    keyed.register()
    keyed.client.headers.update(bearer(KEY))
    refused = keyed.post(policy=weaker_policy(strength=0.5))
    assert (refused.status_code, code_of(refused)) == (403, "policy_below_floor")
    assert refused.json()["fields"] == ["strength", "selection"]
    keyed.client.headers.update(bearer(OTHER_KEY))
    assert keyed.post(policy=weaker_policy()).status_code == 202


def test_a_job_says_what_of_its_policy_is_below_the_floor(keyed: Gate) -> None:
    """In each answer; the record of one that is not is as versions before have it."""
    keyed.register()
    keyed.client.headers.update(bearer(OTHER_KEY))
    below, above = keyed.post(policy=weaker_policy(strength=0.5)).json(), keyed.post().json()
    assert (below["below_floor"], above["below_floor"]) == (["strength", "selection"], [])
    seen = keyed.client.get(f"/v1/jobs/{below['id']}").json()
    assert seen["below_floor"] == ["strength", "selection"]
    stored = json.loads(keyed.services.store.get(layout.job_request("bob", above["id"])))
    assert "below_floor" not in stored


def test_folders_of_checkpoints_are_shown_to_operators_only(keyed: Gate) -> None:
    """Paths on the gate's machine are nobody else's business."""
    keyed.register()
    seen = keyed.client.get("/v1/alignments/base", headers=bearer(KEY)).json()
    assert (seen["base"], seen["aligned"]) == (None, None)
    shown = keyed.client.get("/v1/alignments/base", headers=bearer(OTHER_KEY)).json()
    assert (shown["base"], shown["aligned"]) == ("/models/base", "/models/aligned")
