"""No tenant reaches what another has: every route of the OpenAPI document is tried."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis

from core.scopes import SCOPES
from tests.app.belongings import BODIES, OF_ALL, belongings, filled
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of
from tests.app.test_access import access, bearer, key

ALICE, EVE = "slg_alice-secret", "slg_eve-secret"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    parameters: list[str]
    bodies: list[Any]


@pytest.fixture
def gate(open_gate: OpenGate) -> Gate:
    """Two tenants whose keys have every scope; Alice is calling."""
    keys = access(key(ALICE, "alice", *SCOPES), key(EVE, "eve", *SCOPES))
    opened = open_gate(bearer(ALICE), access=keys)
    opened.register()
    return opened


def operations(gate: Gate) -> Iterator[Operation]:
    """Everything under /v1, and the JSON bodies to try it with."""
    document = gate.client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method in METHODS:
            if path.startswith("/v1/") and method in item:
                content = item[method].get("requestBody", {}).get("content", {})
                example = content.get("application/json", {}).get("example")
                own = BODIES.get((method.upper(), path), [])
                yield Operation(
                    method.upper(),
                    path,
                    re.findall(r"{(\w+)}", path),
                    [
                        None,
                        {},
                        *([example] if example else []),
                        *own,
                    ],
                )


def ask(gate: Gate, text: str, method: str, path: str, body: Any = None) -> Any:
    sent = {} if body is None else {"json": body}
    headers = bearer(text) | {"Idempotency-Key": f"{method} {path}"}
    return gate.client.request(method, path, headers=headers, **sent)


def contents(gate: Gate) -> dict[str, tuple[str, bytes]]:
    """Whatever the gate keeps of anyone, in the store and in Redis."""
    store = gate.services.store
    kept = {key: (info.etag, store.get(key)) for key in store.list("") if (info := store.info(key))}
    redis: Redis = gate.services.queue.redis
    for name in redis.scan_iter():
        kept[name.decode()] = ("", redis.dump(name) or b"")
    return kept


def test_another_tenants_things_do_not_exist(gate: Gate) -> None:
    """With the same scopes, every method of every route answers 404 or 403 for each thing of
    another tenant, says nothing of it, and changes nothing."""
    values = belongings(gate, "alice")
    before = contents(gate)
    tried = 0
    for operation in operations(gate):
        unknown = set(operation.parameters) - values.keys() - OF_ALL.keys()
        assert not unknown, (
            f"{operation.method} {operation.path}: say what {unknown} leads to in"
            " tests/app/belongings.py"
        )
        if not set(operation.parameters) & values.keys():
            continue
        all_values = values | {name: ["base"] for name in OF_ALL}
        for path in filled(operation.path, all_values, operation.parameters):
            for body in operation.bodies:
                response = ask(gate, EVE, operation.method, path, body)
                assert response.status_code in (403, 404), (operation.method, path, response.text)
                code_of(response)
                assert not any(text in response.text for text in values["job_id"])
                tried += 1
    assert tried > 100
    assert contents(gate) == before


def test_the_owner_reaches_them(gate: Gate) -> None:
    """Else the test before would be about nothing: each route that reads is answered to Alice, for
    one of her things at least."""
    values = belongings(gate, "alice")
    for operation in operations(gate):
        if operation.method != "GET" or not set(operation.parameters) & values.keys():
            continue
        all_values = values | {name: ["base"] for name in OF_ALL}
        found = {
            ask(gate, ALICE, "GET", path).status_code
            for path in filled(operation.path, all_values, operation.parameters)
            if not path.endswith("/events")  # which is open until the job has ended
            or path.split("/")[-2] in values["job_id"][2:]
        }
        assert found & {200, 303}, operation.path


def test_no_list_shows_another_tenants_things(gate: Gate) -> None:
    """Nor does a cursor into them lead there."""
    values = belongings(gate, "alice")
    for operation in operations(gate):
        if operation.method == "GET" and not operation.parameters:
            for query in ("", f"?cursor={values['job_id'][-1]}", "?limit=100", "?state=queued"):
                response = ask(gate, EVE, "GET", operation.path + query)
                assert response.status_code in (200, 404)
                assert not any(text in response.text for text in values["job_id"])


def test_an_idempotency_key_is_each_tenants_own(gate: Gate) -> None:
    """The same key and the same request of another tenant make a job of its own."""
    mine = gate.post(idempotency_key="same").json()["id"]
    assert gate.post(idempotency_key="same").json()["id"] == mine
    gate.client.headers.update(bearer(EVE))
    theirs = gate.post(idempotency_key="same").json()["id"]
    assert theirs != mine
    assert gate.client.get(f"/v1/jobs/{mine}").status_code == 404
