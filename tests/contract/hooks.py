"""What schemathesis is told of this API beyond its document."""

from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.generation.meta import TestPhase

from tests.contract.data import BODIES, adapter_files, archive, given, whole_numbers
from tests.contract.sparing import spare

KEY = "Idempotency-Key"
_PUT = "PUT /v1/uploads/{upload_id}/files/{name}"
_REPLAY = "POST /v1/jobs/{job_id}/deliveries/{delivery_id}/replay"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], **__: Any) -> None:
    """Valid cases get values that mean something; what all of them lean on is left alone."""
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive:
        _make_good(case, meta.phase.name)
    spare(case)


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    """Keep what came of it: which operations were never granted is the runner's to judge."""
    with Path(given().seen).open("a") as seen:
        seen.write(f"{response.status_code} {case.operation.label}\n")


def _make_good(case: Case[Any], phase: TestPhase) -> None:
    if KEY in case.headers:  # one that stands for another request is refused, and rightly so
        case.headers[KEY] = case.id
    change = BODIES.get((case.operation.label, case.media_type or ""))
    if isinstance(case.body, dict):
        body: dict[str, Any] = whole_numbers(case.body)
        case.body = body
        if change is not None:
            change(body)
    path = case.path_parameters
    if phase is TestPhase.COVERAGE:  # in which ids are made up
        good = given().good_ids(case.operation.label)
        path.update({name: good[name] for name in path})
    if case.operation.label == _PUT:
        _send_bytes(case)
    if case.operation.label == _REPLAY:  # half of the jobs are there
        path["delivery_id"] = given().jobs.get(path["job_id"], path["delivery_id"])
    # Schemathesis takes every edited body with bytes in it for invalid: this one is not.
    case._record_starting_state()


def _send_bytes(case: Case[Any]) -> None:
    """Those of the file that the path names, or of one that most uploads have."""
    contents = adapter_files() | {"archive.zip": archive()}
    if case.path_parameters["name"] not in contents:
        case.path_parameters["name"] = "adapter_config.json"
    case.body = contents[case.path_parameters["name"]]
