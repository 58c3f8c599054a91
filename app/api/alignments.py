"""Alignments: register a pair of checkpoints, see which are ready."""

import logging
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.access.callers import AlignmentsCaller, AnyCaller, Caller
from app.bodies import read_json
from app.checkpoints import checkpoint_place
from app.description.answers import JSON_BODY, problems
from app.description.openapi import ALIGNMENT_BODY, POLICIES_BODY, REGISTERED
from app.intake.order import invalid
from app.intake.terms import find_alignment
from app.services import Served, Services
from app.views import ProgressView, View, progress_of
from core.alignments import (
    DEFAULT_RANK,
    MANIFEST_FILE,
    NAME_PATTERN,
    AlignmentPolicies,
    AlignmentRecord,
    BuildFailure,
    DtypeRule,
    ModelName,
    PairWarning,
)
from core.errors import Conflict, NotFound, QueueError, RecordUnreadable, Unprocessable
from core.floor import below_floor
from core.jobs import now
from core.model import Frozen
from core.policy import Policy
from core.queue import build_id
from core.scopes import ALIGNMENTS
from core.store import layout
from core.store.base import ObjectExists

_MAX_JSON = 2**20
_log = logging.getLogger(__name__)

_UNKNOWN = problems("alignment_not_found", at={"alignment_not_found": 404})

router = APIRouter(prefix="/v1/alignments", tags=["alignments"])


class AlignmentOrder(Frozen):
    """The body of `POST /v1/alignments`: two checkpoints, and how adapters for them are judged."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    base: Annotated[
        str,
        Field(
            description="the base model: a folder of the gate's machine, s3://bucket/prefix/ or"
            " hf://org/name@revision"
        ),
    ]
    aligned: Annotated[str, Field(description="its aligned sibling, given in the same way")]
    modules: Annotated[list[str] | None, Field(description="name suffixes; null: all")] = None
    base_names: Annotated[
        list[ModelName], Field(description="base_model_name_or_path of adapters for this model")
    ] = []
    dtype: DtypeRule = "auto"
    rank: Annotated[int, Field(ge=1, le=4096)] = DEFAULT_RANK
    default_policy: Policy = Policy()
    floor: Annotated[Policy | None, Field(description="null: the default policy")] = None


class PoliciesOrder(Frozen):
    """The body of `PATCH /v1/alignments/{name}`. What is absent stays as it is; a policy that is
    given is the whole policy, and fields that it lacks have the built-in default."""

    default_policy: Annotated[Policy, Field(default_factory=Policy, description="absent: as it is")]
    floor: Annotated[
        Policy | None, Field(description="absent: as it is; null: the default policy")
    ] = None


class AlignmentView(View):
    """`base` and `aligned` are places of checkpoints, shown to keys with scope `alignments`.

    `warnings`: signs that the pair is not the one that was meant, once it is ready.
    """

    name: str
    state: str
    id: str | None
    base: str | None
    aligned: str | None
    modules: list[str] | None
    base_names: list[str]
    dtype: DtypeRule
    rank: int
    default_policy: Policy
    floor: Policy
    error: BuildFailure | None
    warnings: list[PairWarning]
    progress: ProgressView | None
    created_at: str
    finished_at: str | None


class AlignmentList(View):
    alignments: list[AlignmentView]


@router.post(
    "",
    response_model=AlignmentView,
    status_code=202,
    responses=REGISTERED
    | problems(
        *(*JSON_BODY, "source_invalid", "source_not_allowed", "source_not_found"),
        *("alignment_exists", "alignment_policies_differ", "default_below_floor"),
    ),
    openapi_extra=ALIGNMENT_BODY,
    summary="Register a pair of checkpoints",
)
async def post_alignment(
    request: Request, response: Response, services: Served, caller: AlignmentsCaller
) -> AlignmentView:
    """Queues the build, and answers at once; the same request again is no error."""
    body = await read_json(request, _MAX_JSON)
    try:
        order = AlignmentOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    view = await run_in_threadpool(_register, services, order, caller)
    response.headers["Location"] = f"/v1/alignments/{view.name}"
    if view.state == "ready":
        response.status_code = 200
    return view


@router.get("", response_model=AlignmentList, summary="All alignments")
def list_alignments(services: Served, caller: AnyCaller) -> AlignmentList:
    records = services.records.alignments()
    return AlignmentList(
        alignments=[alignment_view(services, record, caller) for record in records]
    )


@router.get("/{name}", response_model=AlignmentView, responses=_UNKNOWN, summary="One alignment")
def get_alignment(services: Served, caller: AnyCaller, name: str) -> AlignmentView:
    return alignment_view(services, _found(services, name), caller)


@router.patch(
    "/{name}",
    response_model=AlignmentView,
    responses=problems(
        *(*JSON_BODY, "alignment_not_found", "alignment_changed", "default_below_floor"),
        *("alignment_rank_too_small", "alignment_not_float32"),
        at={"alignment_not_found": 404},
    ),
    openapi_extra=POLICIES_BODY,
    summary="Change how adapters are judged",
)
async def patch_alignment(
    request: Request, services: Served, caller: AlignmentsCaller, name: str
) -> AlignmentView:
    """The default policy, the floor or both. Jobs that were accepted keep the policy they had.

    Of two requests at once the last one stands, both fields of it.
    """
    body = await read_json(request, _MAX_JSON)
    try:
        order = PoliciesOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    return await run_in_threadpool(_judged_by, services, name, order, caller)


@router.delete("/{name}", status_code=204, responses=_UNKNOWN, summary="Remove an alignment's name")
def delete_alignment(services: Served, _: AlignmentsCaller, name: str) -> None:
    """The name alone: jobs that were accepted under it go on, and it may be registered again.

    A build of it stops within seconds, and keeps for a week what it has finished: the same pair
    registered again goes on from there. A second time the name is unknown.
    """
    services.records.remove_alignment(_found(services, name).name)


def _found(services: Services, name: str) -> AlignmentRecord:
    record = find_alignment(services.records, name)
    if record is None:
        raise _not_found()
    return record


def _not_found() -> NotFound:
    return NotFound(
        "there is no alignment of this name: see /v1/alignments", code="alignment_not_found"
    )


def _judged_by(
    services: Services, name: str, order: PoliciesOrder, caller: Caller
) -> AlignmentView:
    record = _found(services, name)
    given = {field: getattr(order, field) for field in order.model_fields_set}
    policies = record.policies.model_copy(update=given)
    _check_default(policies)
    if record.id is not None and _is_stored(services, record):
        policies.check_fit(services.manifests.get(record.id))
    standing = services.records.give_policies(record, policies)
    if standing is None:
        raise _not_found()
    if standing.created_at != record.created_at:
        raise Conflict(
            "the name was registered anew meanwhile: look at it, and send the request again",
            code="alignment_changed",
        )
    _log.info("policies of alignment %s changed by key %s", name, caller.key_id)
    return alignment_view(services, standing, caller)


def _check_default(policies: AlignmentPolicies) -> None:
    """Else a job that asks for nothing would be refused."""
    weaker = below_floor(policies.default_policy, policies.effective_floor)
    if weaker:
        raise Unprocessable(
            f"default_policy is weaker than floor in {', '.join(weaker)}: raise the one or lower"
            " the other",
            code="default_below_floor",
            fields=weaker,
        )


def _register(services: Services, order: AlignmentOrder, caller: Caller) -> AlignmentView:
    return alignment_view(services, _registered(services, order), caller)


def _registered(services: Services, order: AlignmentOrder) -> AlignmentRecord:
    """The record, building; or the one that the same request made before, unless that failed or
    what it built is gone from the store. What is built anew keeps the policies it was given."""
    record = _new_record(services, order)
    try:
        services.records.save_alignment(record, if_absent=True)
    except ObjectExists:
        standing = _same(services.records.alignment(order.name), record, order)
        if standing.state == "building":
            record = standing
        elif standing.state == "ready" and _is_stored(services, standing):
            return standing
        else:
            record = record.under(standing.policies)
            services.records.save_alignment(record)
    try:
        services.queue.submit_build(record.name)
    except QueueError as error:
        _log.warning("alignment %s is registered and not queued yet: %s", record.name, error)
    return record


def _new_record(services: Services, order: AlignmentOrder) -> AlignmentRecord:
    settings = services.settings
    record = AlignmentRecord(
        state="building",
        created_at=now(),
        **{
            **dict(order),
            "base": checkpoint_place(order.base, "base", settings),
            "aligned": checkpoint_place(order.aligned, "aligned", settings),
        },
    )
    _check_default(record.policies)
    return record


def _same(
    standing: AlignmentRecord | None, record: AlignmentRecord, order: AlignmentOrder
) -> AlignmentRecord:
    """The record that stands, if the order asks for the same. Policies may have changed since, so
    an order that does not name them says nothing of them. Raises `Conflict`."""
    policies = set(AlignmentPolicies.model_fields)
    pair = set(AlignmentOrder.model_fields) - policies
    if standing is None or not _agree(standing, record, pair):
        raise Conflict(
            "another pair is registered under this name, or this one with other modules,"
            " base_names, dtype or rank: choose another name",
            code="alignment_exists",
        )
    if not _agree(standing, record, policies & order.model_fields_set):
        raise Conflict(
            "this pair is registered under this name, with other policies: change them by PATCH"
            f" /v1/alignments/{record.name}, or leave default_policy and floor out of the request",
            code="alignment_policies_differ",
        )
    return standing


def _agree(standing: AlignmentRecord, record: AlignmentRecord, fields: set[str]) -> bool:
    return standing.model_dump(include=fields) == record.model_dump(include=fields)


def _is_stored(services: Services, record: AlignmentRecord) -> bool:
    """The manifest is the last file to be stored, so where it lies an alignment was whole; one of
    another version is of no use."""
    if record.id is None:
        return False
    if services.store.info(layout.alignment(record.id, MANIFEST_FILE)) is None:
        return False
    try:
        services.manifests.get(record.id)
    except RecordUnreadable:
        return False
    return True


def _bare(failure: BuildFailure) -> BuildFailure:
    """Without its message, which names paths."""
    return BuildFailure(code=failure.code, message="the build failed: ask the operator")


def alignment_view(services: Services, record: AlignmentRecord, caller: Caller) -> AlignmentView:
    """Blocks: asks Redis how far a build is."""
    shown = ALIGNMENTS in caller.scopes
    building = record.state == "building"
    return AlignmentView(
        name=record.name,
        state=record.state,
        id=record.id,
        base=record.base if shown else None,
        aligned=record.aligned if shown else None,
        modules=record.modules,
        base_names=record.base_names,
        dtype=record.dtype,
        rank=record.rank,
        default_policy=record.default_policy,
        floor=record.effective_floor,
        error=record.error if shown or record.error is None else _bare(record.error),
        warnings=record.warnings,
        progress=progress_of(services, build_id(record.name)) if building else None,
        created_at=record.created_at,
        finished_at=record.finished_at,
    )
