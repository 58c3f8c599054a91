"""The OpenAPI document: what a client can be generated from."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from app.description.examples import EVENT_STREAM, JOB
from app.intake.form import FILE_PARTS, TEXT_PARTS
from app.views import JobView
from core.codes import ANSWERS, CODES
from tests.app.gate import Gate

Operation = tuple[str, dict[str, Any]]
PROBLEM = "application/problem+json"
BYTES = ("application/octet-stream", "application/zip", "text/html", "text/csv")
"""Of what is downloaded there is no example to read."""


@pytest.fixture
def document(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.client.get("/openapi.json").json()
    return found


@pytest.fixture
def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    return set()


def examples_of(media: dict[str, Any]) -> list[Any]:
    named = [found["value"] for found in media.get("examples", {}).values()]
    return named + ([media["example"]] if "example" in media else [])


def contents(
    operations: list[Operation], statuses: tuple[str, ...]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(operation and status, media type, what the document has of it) of the answers whose status
    begins with one of these."""
    for name, operation in operations:
        for status, answer in operation["responses"].items():
            if status.startswith(statuses):
                for kind, media in answer.get("content", {}).items():
                    yield f"{name} {status}", kind, media


def wrong_ones(document: dict[str, Any], media: dict[str, Any]) -> list[str]:
    """Why examples do not fit the schema beside them; one of several if there is none at all."""
    found = examples_of(media)
    schema = {**media["schema"], "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    errors = [str(error) for example in found for error in validator.iter_errors(example)]
    return errors or ([] if found else ["there is none"])


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


def test_errors_are_problems_and_every_code_is_named(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    """No status is left to `default`: each is there, with the codes that come with it. FastAPI's
    own form of an error is never sent, and not described."""
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in operations:
        assert "default" not in operation["responses"], name
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert answer["content"].keys() == {PROBLEM}, (name, status)
                codes = answer["content"][PROBLEM]["schema"]["properties"]["code"]["enum"]
                assert all(int(status) in CODES[code].statuses for code in codes), (name, status)


def test_a_problem_has_one_of_all_codes(document: dict[str, Any]) -> None:
    """A client can know them all."""
    problem = document["components"]["schemas"]["Problem"]
    assert problem["properties"]["code"]["enum"] == sorted(ANSWERS)


def test_every_code_is_an_answer_of_some_operation(operations: list[Operation]) -> None:
    """But for those of no operation: a wrong address, a wrong method, no HTTP."""
    named = {
        code
        for _, _, media in contents(operations, ("4", "5"))
        for code in media["schema"]["properties"]["code"]["enum"]
    }
    assert set(ANSWERS) - named == {"not_found", "method_not_allowed", "http_error"}


def test_api_needs_a_key_and_probes_do_not(document: dict[str, Any]) -> None:
    """As documented, so done. Webhooks are signed instead."""
    for path, item in document["paths"].items():
        keyed = path.startswith(("/v1/", "/metrics")) and path != "/v1/hooks/{source}"
        for operation in item.values():
            assert ("security" in operation) == keyed


def test_every_body_has_an_example_that_fits(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    """What the documentation offers to try is taken."""
    wrong = {
        f"{name} {kind}": found
        for name, operation in operations
        for kind, media in operation.get("requestBody", {}).get("content", {}).items()
        if (found := wrong_ones(document, media))
    }
    assert wrong == {}


def test_every_answer_has_an_example_that_fits(
    document: dict[str, Any], operations: list[Operation]
) -> None:
    """Successes and errors; nulls too, which some generators of documents leave out."""
    wrong = {
        f"{name} {kind}": found
        for name, kind, media in contents(operations, ("",))
        if kind not in (*BYTES, "text/event-stream") and (found := wrong_ones(document, media))
    }
    assert wrong == {}


def test_events_in_the_example_are_events(document: dict[str, Any]) -> None:
    """Each with the members that its schema has, and data that is what it says."""
    media = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    schema = {**media["text/event-stream"]["itemSchema"], "components": document["components"]}
    lines = [
        [line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":")]
        for block in EVENT_STREAM.split("\n\n")
    ]
    events = [dict(fields) for fields in lines if fields]
    assert [event["event"] for event in events] == ["state", "progress", "state"]
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert [str(error) for event in events for error in validator.iter_errors(event)] == []
    for event in events:
        model = {"state": "JobView", "progress": "ProgressView"}[event["event"]]
        data = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
        jsonschema_rs.validate(data, json.loads(event["data"]))


def test_links_lead_to_operations(document: dict[str, Any], operations: list[Operation]) -> None:
    """From a job that was accepted to all that is done with one; no link leads nowhere."""
    known = {operation["operationId"]: name for name, operation in operations}
    links = document["paths"]["/v1/jobs"]["post"]["responses"]["202"]["links"]
    led = {known[link["operationId"]] for link in links.values()}
    assert {"GET /v1/jobs/{job_id}", "POST /v1/jobs/{job_id}/retry"} <= led
    for _, operation in operations:
        for answer in operation["responses"].values():
            assert all(link["operationId"] in known for link in answer.get("links", {}).values())


def test_example_of_a_job_is_one() -> None:
    """Examples that no longer fit are worse than none."""
    assert JobView.model_validate(JOB).model_dump(mode="json") == JOB
