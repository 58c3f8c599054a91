"""Webhooks of tenants, and the secret that all is signed with."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from standardwebhooks import Webhook

from app.api.deliveries import DeliveryView
from app.api.webhooks import SecretShown, SecretView, WebhookOrder, WebhookView
from app.description import webhook_examples as examples
from core.settings import WebhookSettings
from core.store import layout
from core.webhooks.signing import Secrets
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key

URL = "https://platform.example/hooks"
ALL = {"url": URL, "events": None, "enabled": True, "disabled": None}


@pytest.fixture
def signed(any_gate: Gate) -> Gate:
    """A gate whose tenant has a secret, on each kind of store."""
    assert any_gate.client.post("/v1/webhooks/secret").status_code == 201
    return any_gate


def register(gate: Gate, **fields: Any) -> Response:
    return gate.client.post("/v1/webhooks", json={"url": URL, **fields})


def test_a_webhook_is_registered_changed_and_removed(signed: Gate) -> None:
    """And is seen as it is at each step."""
    made = register(signed)
    assert (made.status_code, made.headers["location"]) == (
        201,
        f"/v1/webhooks/{made.json()['id']}",
    )
    path, about = made.headers["location"], made.json()
    assert {name: about[name] for name in ALL} == ALL
    assert signed.client.get(path).json() == about
    assert signed.client.get("/v1/webhooks").json() == {"webhooks": [about]}
    changed = signed.client.patch(path, json={"events": ["job.failed"], "enabled": False})
    assert changed.json() == about | {"events": ["job.failed"], "enabled": False}
    changed = signed.client.patch(path, json={"events": None, "url": f"{URL}/2"})
    assert changed.json() == about | {"enabled": False, "url": f"{URL}/2"}
    assert signed.client.patch(path, json={}).json() == changed.json()
    assert signed.client.get(path).json() == changed.json()
    removed = signed.client.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    for answer in (
        signed.client.get(path),
        signed.client.patch(path, json={"enabled": True}),
        signed.client.delete(path),
    ):
        assert (answer.status_code, code_of(answer)) == (404, "webhook_not_found")
    assert signed.client.get("/v1/webhooks").json() == {"webhooks": []}
    assert list(signed.services.store.list(layout.webhook_endpoints("default"))) == []


def test_the_secret_comes_first(gate: Gate) -> None:
    """Unsigned nothing is told, so that nothing is taken either; the refusal says what to do."""
    gate.register()
    for answer in (register(gate), gate.post(callback_url=URL)):
        assert (answer.status_code, code_of(answer)) == (409, "webhook_secret_missing")
        assert "POST /v1/webhooks/secret" in answer.json()["detail"]
    missing = gate.client.get("/v1/webhooks/secret")
    assert (missing.status_code, code_of(missing)) == (404, "webhook_secret_missing")
    assert list(gate.services.records.pending()) == []


def test_the_secret_is_shown_once(signed: Gate) -> None:
    """When it is made; later only when that was."""
    made = signed.client.post("/v1/webhooks/secret")
    secret = made.json()["secret"]
    assert made.headers["cache-control"] == "no-store"
    assert Webhook(secret) is not None  # in the form that the library reads
    told = signed.client.get("/v1/webhooks/secret")
    assert told.json().keys() == {"created_at", "previous_until"}
    assert told.json()["created_at"] == made.json()["created_at"]
    assert (
        told.json()["previous_until"] == made.json()["previous_until"] > made.json()["created_at"]
    )
    (newest, _) = Secrets(signed.services.store, "default").signing(0)
    assert newest.secret == secret


def test_a_leaked_secret_is_replaced_at_once(signed: Gate) -> None:
    """With no overlap."""
    made = signed.client.post("/v1/webhooks/secret", params={"overlap_hours": 0}).json()
    assert made["previous_until"] is None
    assert len(Secrets(signed.services.store, "default").signing(2**48)) == 1
    for hours in ("-1", "169", "nan", "x"):
        refused = signed.client.post("/v1/webhooks/secret", params={"overlap_hours": hours})
        assert (refused.status_code, code_of(refused)) == (422, "validation_failed")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"url": "http://platform.example/"}, 403, "url_not_allowed"),
        ({"url": "https://127.0.0.1/"}, 403, "url_not_allowed"),
        ({"url": "https://a@platform.example/"}, 422, "url_invalid"),
        ({"url": ""}, 422, "url_invalid"),
        ({"url": 3}, 422, "validation_failed"),
        ({"url": None}, 422, "validation_failed"),
        ({"events": []}, 422, "validation_failed"),
        ({"events": ["job.started"]}, 422, "validation_failed"),
        ({"enabled": "yes"}, 422, "validation_failed"),
        ({"secret": "whsec_"}, 422, "validation_failed"),
    ],
)
def test_broken_orders_are_refused(
    open_gate: OpenGate, fields: dict[str, Any], status: int, code: str
) -> None:
    """When it is registered and when it is changed, and nothing is kept of them."""
    gate = open_gate()
    gate.client.post("/v1/webhooks/secret")
    refused = register(gate, **fields)
    assert (refused.status_code, code_of(refused)) == (status, code)
    assert gate.client.get("/v1/webhooks").json() == {"webhooks": []}
    about = register(gate).json()
    refused = gate.client.patch(f"/v1/webhooks/{about['id']}", json=fields)
    assert (refused.status_code, code_of(refused)) == (status, code)
    assert gate.client.get(f"/v1/webhooks/{about['id']}").json() == about


def test_what_the_gate_switched_off_is_switched_on_again(signed: Gate) -> None:
    """By its owner; the reason goes with that."""
    path = register(signed).headers["location"]
    key_ = layout.webhook_settings("default", path.rpartition("/")[2])
    off = f'{{"url": "{URL}", "enabled": false, "disabled": "gone"}}'
    signed.services.store.put(key_, off.encode())
    assert signed.client.get(path).json()["disabled"] == "gone"
    assert signed.client.patch(path, json={"events": None}).json()["disabled"] == "gone"
    about = signed.client.patch(path, json={"enabled": True}).json()
    assert (about["enabled"], about["disabled"]) == (True, None)


def test_a_tenant_has_so_many_webhooks(open_gate: OpenGate) -> None:
    """Each end costs a delivery for each of them."""
    gate = open_gate(webhooks=WebhookSettings(endpoints=2))
    gate.client.post("/v1/webhooks/secret")
    first = register(gate)
    assert register(gate).status_code == 201
    refused = register(gate)
    assert (refused.status_code, code_of(refused)) == (409, "webhook_limit")
    assert refused.json()["limit"] == 2
    gate.client.delete(first.headers["location"])
    assert register(gate).status_code == 201


def test_switched_off_nothing_is_taken(open_gate: OpenGate) -> None:
    """Nobody waits for what will not be told."""
    gate = open_gate(webhooks=WebhookSettings(enabled=False))
    gate.register()
    gate.client.post("/v1/webhooks/secret")
    for answer in (register(gate), gate.post(callback_url=URL)):
        assert (answer.status_code, code_of(answer)) == (403, "webhooks_disabled")


Call = Callable[[Gate, str], Response]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("webhook_id", ["x", "0" * 26, "..%2f..%2fsecrets", "0" * 25 + "%0a"])
def test_an_unknown_webhook_is_a_404(gate: Gate, method: str, webhook_id: str) -> None:
    """Whatever is asked for, it never becomes a path."""
    body: dict[str, str] | None = {} if method == "PATCH" else None
    response = gate.client.request(method, f"/v1/webhooks/{webhook_id}", json=body)
    assert (response.status_code, code_of(response)) in (
        (404, "webhook_not_found"),
        (404, "not_found"),
    )


def test_tenants_have_webhooks_of_their_own(open_gate: OpenGate) -> None:
    """Others' are 404, secrets too; and without the scope nothing is done."""
    scopes = ("jobs", "webhooks")
    gate = open_gate(
        access=access(
            key("one", "one", *scopes), key("two", "two", *scopes), key("no", "one", "jobs")
        )
    )
    one, two, no = bearer("one"), bearer("two"), bearer("no")
    gate.client.post("/v1/webhooks/secret", headers=one)
    path = gate.client.post("/v1/webhooks", json={"url": URL}, headers=one).headers["location"]
    assert gate.client.get("/v1/webhooks", headers=two).json() == {"webhooks": []}
    assert gate.client.get("/v1/webhooks/secret", headers=two).status_code == 404
    calls = [("GET", path), ("PATCH", path), ("DELETE", path), ("GET", "/v1/webhooks")]
    calls += [("POST", "/v1/webhooks"), ("GET", "/v1/webhooks/secret")]
    calls += [("POST", "/v1/webhooks/secret")]
    for method, url in calls:
        body = {"url": URL} if method in ("POST", "PATCH") else None
        if url == path:
            answer = gate.client.request(method, url, headers=two, json=body)
            assert (answer.status_code, code_of(answer)) == (404, "webhook_not_found")
        answer = gate.client.request(method, url, headers=no, json=body)
        assert (answer.status_code, code_of(answer)) == (403, "scope_missing")
    assert gate.client.get(path, headers=one).status_code == 200


def test_examples_are_what_is_sent(gate: Gate) -> None:
    """Each is a whole answer or request, and the message is of a type that is sent."""
    for model, example in (
        (WebhookOrder, examples.ORDER),
        (WebhookView, examples.WEBHOOK),
        (SecretView, examples.SECRET),
        (SecretShown, examples.SECRET_SHOWN),
        (DeliveryView, examples.DELIVERY),
    ):
        assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example
    message = gate.client.get("/openapi.json").json()["webhooks"]["job.ended"]["post"]
    described = message["requestBody"]["content"]["application/json"]
    assert described["example"]["type"] in described["schema"]["properties"]["type"]["enum"]
