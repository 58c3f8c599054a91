"""What schemathesis is told of this API beyond its document."""

from ipaddress import IPv4Address
from typing import Any
from zlib import crc32

import httpx2
import schemathesis
from schemathesis import Case, HookContext

from tests.contract.data import ALIGNMENT, BODIES, SCRAP, SPARE, given, whole_numbers

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], **__: Any) -> None:
    """Valid cases get values that mean something; what all of them lean on is left alone."""
    # Each from an address of its own, for those that fail are bounded by it.
    case.headers["X-Forwarded-For"] = str(IPv4Address(crc32(case.id.encode())))
    case._record_starting_state()  # else a case that lacks a header is no longer known for one
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive:
        _make_good(case)
    _spare(case)


def _make_good(case: Case[Any]) -> None:
    if KEY in case.headers:  # one that stands for another request is refused, and rightly so
        case.headers[KEY] = case.id
    change = BODIES.get((case.operation.label, case.media_type or ""))
    if isinstance(case.body, dict):
        body: dict[str, Any] = whole_numbers(case.body)
        case.body = body
        if change is not None:
            change(body)
            # Schemathesis takes every edited body with bytes in it for invalid: this one is not.
            case._record_starting_state()


def _spare(case: Case[Any]) -> None:
    """Let another alignment be changed or deleted than the one that jobs are posted to."""
    name = case.path_parameters.get("name")
    if case.operation.label == "PATCH /v1/alignments/{name}" and name == ALIGNMENT:
        case.path_parameters["name"] = SPARE
    if case.operation.label == "DELETE /v1/alignments/{name}" and name in (ALIGNMENT, SPARE):
        made = given()
        body = {"name": SCRAP, "base": made.base, "aligned": made.aligned}
        headers = {"Authorization": f"Bearer {made.key}"}
        url = f"{made.url}/v1/alignments"
        httpx2.post(url, json=body, headers=headers, trust_env=False).raise_for_status()
        case.path_parameters["name"] = SCRAP
