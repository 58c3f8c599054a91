"""What the API tells Prometheus, and to whom."""

import hashlib
import time

import pytest
from redis import Redis
from rq.utils import now as rq_now
from rq.utils import utcformat

from core.queue_state import beat, queue_state
from core.settings import AccessSettings, ApiKey, RedisSettings
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of, weights_of
from tests.metrics import Told

KEY, OTHER = "slg_scraper-secret", "slg_uploader-secret"
AWAY = RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"})
MOST_SERIES = 40
"""Of one label set's product: what some thousand odd requests may leave behind at most."""


def key(text: str, *scopes: str) -> ApiKey:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(id=text[4:8], sha256=sha256, scopes=frozenset(scopes))


def scrape(gate: Gate) -> Told:
    response = gate.client.get("/metrics")
    assert response.status_code == 200, response.text
    return Told(response.text)


def test_metrics_need_their_scope(open_gate: OpenGate) -> None:
    """They tell of all tenants, so no tenant's key reads them."""
    gate = open_gate(access=AccessSettings(keys=[key(KEY, "metrics"), key(OTHER, "jobs")]))

    def ask(text: str) -> int:
        headers = {"Authorization": f"Bearer {text}"}
        return gate.client.get("/metrics", headers=headers).status_code

    assert [ask(KEY), ask(OTHER), ask("slg_nobody")] == [200, 403, 401]


def test_odd_requests_make_no_new_labels(gate: Gate) -> None:
    """However many addresses and methods are tried: a label is never a caller's word."""
    for number in range(10_000):
        gate.client.get(f"/v1/jobs/odd-{number}" if number % 2 else f"/odd/{number}")
    for number in range(100):
        gate.client.request(f"ODD{number}", f"/odd?{number}")
    found = scrape(gate)
    for family in found.families:
        assert len(family.samples) <= MOST_SERIES * 12, family.name
    routes = {labels["route"] for labels in found.labels("safelora_http_requests_total")}
    assert routes == {"/v1/jobs/{job_id}", "none"}
    counted = found("safelora_http_requests_total", method="GET", route="none", status="404")
    assert counted == 5_000
    assert found("safelora_http_requests_total", method="other", route="none", status="404") == 100


def test_metrics_are_told_while_redis_is_away(open_gate: OpenGate) -> None:
    """At once, with a word that it is; of the queue then nothing, which is no zero."""
    gate = open_gate(redis=AWAY)
    found = scrape(gate)
    assert found.has("safelora_queue_up")
    assert found("safelora_queue_up") == 0
    assert not found.has("safelora_jobs")
    assert found.has("process_resident_memory_bytes")


def test_what_waits_is_told(gate: Gate) -> None:
    """How many, and since when the oldest does."""
    gate.register()
    for text in ("one", "two"):
        assert gate.post(weights=weights_of(text)).status_code == 202
    time.sleep(0.05)
    found = scrape(gate)
    assert found("safelora_queue_up") == 1
    assert found("safelora_jobs", state="queued") == 2
    assert found("safelora_jobs", state="running") == 0
    assert 0.05 <= found("safelora_oldest_queued_job_seconds") < 30


def test_an_empty_queue_is_no_queue_that_is_away(gate: Gate) -> None:
    """Zero is told as zero: a rule may ask for it."""
    found = scrape(gate)
    assert found.has("safelora_jobs")
    assert found("safelora_oldest_queued_job_seconds") == 0
    assert found.has("safelora_workers")


def test_only_who_was_heard_of_is_there(gate: Gate) -> None:
    """A worker's name stays in Redis when it is killed; a courier's word lapses."""
    queue = gate.services.queue
    redis: Redis = queue.redis
    name = queue.settings.name
    for worker, moment in (("alive", utcformat(rq_now())), ("dead", "2026-01-01T00:00:00.0Z")):
        redis.hset(f"rq:worker:{worker}", mapping={"state": "busy", "last_heartbeat": moment})
    redis.sadd(f"rq:workers:{name}", "rq:worker:alive", "rq:worker:dead", "rq:worker:forgotten")
    beat(queue)
    assert queue_state(queue).workers == {"idle": 0, "busy": 1}
    assert queue_state(queue).courier
    assert 0 < redis.ttl(f"safelora:courier:{name}") <= 2 * queue.settings.lease


def test_failed_sign_ins_are_counted(open_gate: OpenGate) -> None:
    """Those beyond the bound too, which are answered 429."""
    gate = open_gate(access=AccessSettings(keys=[key(KEY, "metrics")], failures_per_minute=2))
    codes = [code_of(gate.client.get("/v1/jobs")) for _ in range(4)]
    assert codes == ["unauthorized"] * 2 + ["too_many_failures"] * 2
    text = gate.client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    assert Told(text)("safelora_sign_in_failures_total") == 4


def test_bytes_are_counted_as_they_come(gate: Gate) -> None:
    """Whole bodies, with what is around the files in them."""
    gate.register()
    sent = int(gate.post().request.headers["content-length"])
    assert scrape(gate)("safelora_http_received_bytes_total") == sent


def test_what_waits_by_its_nature_is_not_timed(gate: Gate) -> None:
    """A long poll of thirty seconds is no slow answer."""
    gate.register()
    job_id = gate.post().json()["id"]
    gate.client.get(f"/v1/jobs/{job_id}?wait=1")
    gate.client.get(f"/v1/jobs/{job_id}")
    found = scrape(gate)
    route = {"method": "GET", "route": "/v1/jobs/{job_id}"}
    assert found("safelora_http_requests_total", **route, status="200") == 2
    assert found("safelora_http_request_duration_seconds_count", **route) == 1


def test_readiness_warns_of_who_is_missing(gate: Gate) -> None:
    """Jobs are accepted all the same, so it is no 503; and says so once they are there."""
    found = gate.client.get("/readyz")
    assert found.status_code == 200
    assert found.json()["warnings"] == ["workers", "courier"]
    beat(gate.services.queue)
    found = gate.client.get("/readyz")
    assert found.json()["warnings"] == ["workers"]
    assert found.json()["checks"]["courier"] == "ok"


def test_a_full_disk_is_not_ready(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing could be accepted."""
    monkeypatch.setattr("app.api.health.LEAST_ROOM", 2**62)
    found = gate.client.get("/readyz")
    assert (found.status_code, code_of(found), found.json()["failed"]) == (
        503,
        "not_ready",
        ["disk"],
    )
