"""Where a result may be brought to: agreed on before a job is accepted."""

from typing import Any

import pytest

from core.jobs import JobState
from core.settings import DestinationSettings, TenantSettings
from core.store.settings import S3Access
from tests.app.conftest import OpenGate
from tests.app.following import end, retry
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key

ALLOWED = ["s3://out/{tenant}/", "s3://shared/all"]


def opened(open_gate: OpenGate, **settings: Any) -> Gate:
    gate = open_gate(destinations=DestinationSettings(s3_allow=ALLOWED), **settings)
    gate.register()
    return gate


@pytest.mark.parametrize(
    "destination", ["s3://out/default/", "s3://out/default/ft-1/", "s3://shared/all/x/"]
)
def test_it_is_kept_with_the_job(open_gate: OpenGate, destination: str) -> None:
    """A form takes it; a folder under an entry, or the entry itself."""
    gate = opened(open_gate)
    response = gate.post(destination=destination)
    assert response.status_code == 202
    assert gate.request_of(response).destination == destination
    assert response.json()["destination"] == destination


@pytest.mark.parametrize(
    ("destination", "status", "code"),
    [
        ("", 422, "destination_invalid"),
        ("s3://out", 422, "destination_invalid"),
        ("s3://out/", 422, "destination_invalid"),
        ("s3://out/default", 422, "destination_invalid"),
        ("s3://out/default/x", 422, "destination_invalid"),
        ("s3://out/default//", 422, "destination_invalid"),
        ("s3://out/default/../acme/", 422, "destination_invalid"),
        ("s3://out/default/%2e%2e/acme/", 422, "destination_invalid"),
        ("s3://out/default/%2e%2e%2facme/", 422, "destination_invalid"),
        ("s3://out/default/./", 422, "destination_invalid"),
        ("s3://out/default\\x/", 422, "destination_invalid"),
        ("s3://key:secret@out/default/", 422, "destination_invalid"),
        ("https://out/default/", 422, "destination_invalid"),
        ("file:///tmp/", 422, "destination_invalid"),
        ("s3://out/acme/", 403, "destination_not_allowed"),
        ("s3://out/default2/", 403, "destination_not_allowed"),
        ("s3://out/{tenant}/", 403, "destination_not_allowed"),
        ("s3://out/%64efault/", 403, "destination_not_allowed"),
        ("s3://out/Default/", 403, "destination_not_allowed"),
        ("s3://shared/", 422, "destination_invalid"),
        ("s3://shared/alles/", 403, "destination_not_allowed"),
        ("s3://elsewhere/x/", 403, "destination_not_allowed"),
    ],
)
def test_others_places_are_refused(
    open_gate: OpenGate, destination: str, status: int, code: str
) -> None:
    """Other tenants' folders, plain, climbed to or encoded; files; what is no S3."""
    gate = opened(open_gate)
    response = gate.post(destination=destination)
    assert (response.status_code, code_of(response)) == (status, code)
    assert list(gate.services.records.pending()) == []


def test_nothing_is_allowed_until_it_is(gate: Gate) -> None:
    """An empty list means off."""
    gate.register()
    response = gate.post(destination="s3://out/default/")
    assert (response.status_code, code_of(response)) == (403, "destination_not_allowed")


def test_the_gates_own_bucket_is_never_one(open_gate: OpenGate, s3_gate: Gate) -> None:
    """Though an entry names it: other tenants' results lie there."""
    own = s3_gate.services.settings.store
    assert own.s3 is not None
    allow = [f"s3://{own.s3.bucket}/"]
    gate = open_gate(store=own, destinations=DestinationSettings(s3_allow=allow))
    gate.register()
    response = gate.post(destination=f"s3://{own.s3.bucket}/x/")
    assert (response.status_code, code_of(response)) == (403, "destination_not_allowed")


def test_a_tenants_own_list_replaces_the_general_one(open_gate: OpenGate) -> None:
    """Each tenant by its key; an empty list is off."""
    gate = opened(
        open_gate,
        access=access(key("one", "one", "jobs"), key("two", "two", "jobs"), key("x", "x", "jobs")),
        tenants={
            "one": TenantSettings(destinations=["s3://ones-own/"]),
            "two": TenantSettings(destinations=[]),
        },
    )

    def status(who: str, destination: str) -> int:
        body = {"source": "s3://nowhere/x/", "destination": destination}
        response = gate.client.post("/v1/jobs", json=body, headers=bearer(who))
        assert code_of(response) in ("destination_not_allowed", "source_not_allowed")
        return int(code_of(response) == "source_not_allowed")

    assert status("one", "s3://ones-own/a/")
    assert not status("one", "s3://out/one/")
    assert not status("two", "s3://out/two/")
    assert status("x", "s3://out/x/")
    assert not status("x", "s3://out/one/")


def test_a_policy_that_only_scores_brings_nothing(open_gate: OpenGate) -> None:
    """Said at once, not by an empty folder."""
    gate = opened(open_gate)
    policy = '{"selection": {"mode": "none"}}'
    gate.register("scoring", base_names=[], default_policy={"selection": {"mode": "none"}})
    for response in (
        gate.post(destination="s3://out/default/x/", alignment="scoring", policy=policy),
        gate.post(destination="s3://out/default/x/", alignment="scoring"),
    ):
        assert (response.status_code, code_of(response)) == (422, "destination_without_adapter")
    assert gate.post(alignment="scoring").status_code == 202


def test_an_earlier_result_is_still_brought(open_gate: OpenGate) -> None:
    """No answer at once: a worker has to bring the files."""
    gate = opened(open_gate)
    gate.finish(gate.request_of(gate.post()))
    assert gate.post().status_code == 200
    response = gate.post(destination="s3://out/default/x/")
    assert (response.status_code, response.json()["state"]) == (202, "queued")
    request = gate.request_of(response)
    assert all(gate.services.store.info(file.key or "") for file in request.files)
    assert request.id in gate.queued()


def test_a_retry_keeps_it(open_gate: OpenGate) -> None:
    """It is the same job once more."""
    gate = opened(open_gate)
    first = gate.post(destination="s3://out/default/x/").json()["id"]
    end(gate, first, JobState.FAILED)
    assert retry(gate, first).json()["destination"] == "s3://out/default/x/"


def test_other_destinations_are_other_requests(open_gate: OpenGate) -> None:
    """One Idempotency-Key does not stand for both."""
    gate = opened(open_gate)
    gate.post(destination="s3://out/default/x/", idempotency_key="k")
    other = gate.post(destination="s3://out/default/y/", idempotency_key="k")
    assert (other.status_code, code_of(other)) == (422, "idempotency_key_reused")


def test_accepting_does_not_reach_for_it(open_gate: OpenGate) -> None:
    """A destination that is down, or full, keeps no job from being accepted."""
    nobody = S3Access(endpoint_url="http://127.0.0.1:9", max_attempts=1)
    settings = DestinationSettings(s3_allow=ALLOWED, s3=nobody)
    gate = open_gate(destinations=settings)
    gate.register()
    assert gate.post(destination="s3://out/default/x/").status_code == 202
