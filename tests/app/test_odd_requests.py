"""Requests that nobody should send: each operation of the document, oddly asked."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from core.codes import ANSWERS
from tests.app.gate import Gate

METHODS = ("HEAD", "OPTIONS", "TRACE", "PROPFIND")
SEGMENTS = (
    *("%2e%2e", "..%2f..", "%2F", "a%2Fb", "%00", "%ff", "%ed%a0%80", "%0d%0aX: y", "%", "%zz"),
    *("{x}", "*", "secret", "x" * 3000),
)
QUERIES = (
    *("limit=1&limit=x", "limit=" + "9" * 5000, "wait=nan", "overlap_hours=inf", "cursor=%ff"),
    *("state=%ED%A0%80", "alignment=%00", "unknown=1", "&=&", "a=" + "x" * 20_000),
)
ACCEPTS = ("application/xml", "*/*;q=0", "", "text/html;q=x", "a" * 5000)
TYPES = (
    *("", "text/plain", "json", "application/json; charset=utf-16", "application/json;;;"),
    *("multipart/form-data", "multipart/form-data; boundary=", "application/x-www-form-urlencoded"),
)
BODIES = (b"", b"{}", b"null", b"[1]", b"\xff\xfe", b'{"a":1e999}', b'{"a":' + b"[" * 20_000)


@pytest.fixture
def operations(gate: Gate) -> list[tuple[str, str]]:
    """Method and path of each, with ids of what is not there."""
    paths: dict[str, dict[str, Any]] = gate.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def at(path: str, segment: str = "none") -> str:
    return re.sub(r"\{\w+\}", segment, path)


def wrong(answers: Iterator[httpx2.Response]) -> list[str]:
    """Those that say no in another form than a problem, or failed; all have to be tried."""
    return [
        f"{answer.request.method} {answer.request.url!s:.200}: {answer.status_code}"
        for answer in answers
        if answer.status_code >= 500 or (answer.is_error and not is_problem(answer))
    ]


def is_problem(answer: httpx2.Response) -> bool:
    if answer.headers["content-type"] != "application/problem+json":
        return False
    return answer.request.method == "HEAD" or answer.json()["code"] in ANSWERS


def test_methods_that_are_not_taken(gate: Gate, operations: list[tuple[str, str]]) -> None:
    """405 with the methods that the document has for the address, no more and no less."""
    for path in {path for _, path in operations}:
        documented = ", ".join(sorted(method for method, other in operations if other == path))
        for method in METHODS:
            answer = gate.client.request(method, at(path))
            assert (answer.status_code, answer.headers["allow"]) == (405, documented)
            assert is_problem(answer)


def test_segments_that_name_nothing(gate: Gate, operations: list[tuple[str, str]]) -> None:
    """However they are written, they are names and no paths."""
    assert not wrong(
        gate.client.request(method, at(path, segment))
        for method, path in operations
        if "{" in path
        for segment in SEGMENTS
    )


def test_queries_and_headers(gate: Gate, operations: list[tuple[str, str]]) -> None:
    """Parameters that are unknown, there twice, huge or no UTF-8; media types nobody has."""
    assert not wrong(
        gate.client.request(method, f"{at(path)}?{query}")
        for method, path in operations
        for query in QUERIES
    )
    assert not wrong(
        gate.client.request(method, at(path), headers={"Accept": accept})
        for method, path in operations
        for accept in ACCEPTS
    )


def test_bodies(gate: Gate, operations: list[tuple[str, str]]) -> None:
    """Empty, of another type than they say, or deeper than any parser goes."""
    assert not wrong(
        gate.client.request(method, at(path), content=body, headers={"Content-Type": kind})
        for method, path in operations
        if method != "GET"
        for kind in TYPES
        for body in BODIES
    )
