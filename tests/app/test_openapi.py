"""The OpenAPI document: what a client can be generated from."""

from typing import Any

import pytest

from app.examples import JOB
from app.intake.form import FILE_PARTS, TEXT_PARTS
from app.views import JobView
from tests.app.gate import Gate


@pytest.fixture
def document(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.client.get("/openapi.json").json()
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    return set()


def test_every_reference_is_there(document: dict[str, Any]) -> None:
    """No schema is named that is not given."""
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= schemas


def test_both_bodies_of_a_job_are_described(document: dict[str, Any]) -> None:
    """Though the body is streamed past FastAPI."""
    content = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    assert content.keys() == {"multipart/form-data", "application/json"}
    form = content["multipart/form-data"]["schema"]["properties"]
    assert form.keys() == {*FILE_PARTS, *TEXT_PARTS}
    assert form["policy"] == {"$ref": "#/components/schemas/Policy"}


def test_errors_are_problems(document: dict[str, Any]) -> None:
    """FastAPI's own form of an error is never sent, and not described."""
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for item in document["paths"].values():
        for operation in item.values():
            assert "422" not in operation["responses"]
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_api_needs_a_key_and_probes_do_not(document: dict[str, Any]) -> None:
    """As documented, so done. Webhooks are signed instead."""
    for path, item in document["paths"].items():
        keyed = path.startswith("/v1/") and path != "/v1/hooks/{source}"
        for operation in item.values():
            assert ("security" in operation) == keyed


def test_example_of_a_job_is_one() -> None:
    """Examples that no longer fit are worse than none."""
    assert JobView.model_validate(JOB).model_dump(mode="json", exclude_none=True)["id"] == JOB["id"]
