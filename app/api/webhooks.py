"""Webhooks: endpoints that are told how jobs ended, and the secret that it is signed with."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from app import receivers
from app.access.callers import WebhooksCaller
from app.bodies import read_json
from app.description import webhooks as described
from app.description.webhook_examples import SECRET, SECRET_SHOWN, WEBHOOK
from app.intake.order import invalid
from app.services import Served
from app.views import View, moment
from core.model import Frozen
from core.webhooks.endpoints import Endpoint, Endpoints, EventType
from core.webhooks.outbox import now_ms
from core.webhooks.signing import Secret

_MAX_JSON = 16 * 2**10

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


class _WebhookId(StringConvertor):
    """`/secret` is an address of its own: methods that it does not take are no webhook's."""

    regex = "(?!secret$)[^/]+"


register_url_convertor("webhook", _WebhookId())

Events = Annotated[
    list[EventType] | None,
    Field(min_length=1, description="what it is told; null: all, also those of later versions"),
]


class WebhookOrder(Frozen):
    """The body of `POST /v1/webhooks`."""

    url: Annotated[str, Field(description="https://…, public and on port 443")]
    events: Events = None
    enabled: bool = True


class WebhookChange(Frozen):
    """The body of `PATCH /v1/webhooks/{webhook_id}`. What is absent stays as it is."""

    url: Annotated[str, Field(default_factory=str, description="https://…, public and on port 443")]
    events: Events = None
    enabled: Annotated[bool, Field(default_factory=bool)]


class WebhookView(View):
    """`disabled`: why the gate switched it off; `gone`, since it answered 410."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [WEBHOOK]})

    id: str
    url: str
    events: list[EventType] | None
    enabled: bool
    disabled: Literal["gone"] | None
    created_at: str


class WebhookList(View):
    webhooks: list[WebhookView]


class SecretView(View):
    """When the newest secret was made, and until when one before it signs too."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [SECRET]})

    created_at: str
    previous_until: str | None


class SecretShown(SecretView):
    """Shown once."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [SECRET_SHOWN]})

    secret: str


@router.post(
    "/secret",
    response_model=SecretShown,
    status_code=201,
    responses=described.SECRET_MADE,
    summary="Make or rotate the secret",
)
def post_secret(
    response: Response,
    services: Served,
    caller: WebhooksCaller,
    overlap_hours: Annotated[
        float, Query(ge=0, le=168, description="how long those before it go on signing too")
    ] = 24,
) -> SecretShown:
    """Everything that this tenant is told is signed with it, callbacks and webhooks alike.

    It is shown this once. Where one leaked, rotate with `overlap_hours=0`.
    """
    made = receivers.rotate(services, caller, overlap_hours)
    told = _told(made, receivers.newest_secret(services, caller, now_ms())[1])
    response.headers["Cache-Control"] = "no-store"
    return SecretShown(**told.model_dump(), secret=made.secret)


@router.get(
    "/secret",
    response_model=SecretView,
    responses=described.SECRET_TOLD,
    summary="When the secret was made",
)
def get_secret(services: Served, caller: WebhooksCaller) -> SecretView:
    """The secret itself is shown to nobody again."""
    return _told(*receivers.newest_secret(services, caller, now_ms()))


@router.post(
    "",
    response_model=WebhookView,
    status_code=201,
    responses=described.REGISTERED,
    openapi_extra=described.WEBHOOK_BODY,
    summary="Register a webhook",
)
async def post_webhook(
    request: Request, response: Response, services: Served, caller: WebhooksCaller
) -> WebhookView:
    """From now on it is told how this tenant's jobs end, those of the chosen kinds."""
    body = await read_json(request, _MAX_JSON)
    try:
        order = WebhookOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    made = await run_in_threadpool(
        receivers.register, services, caller, order.url, order.events, enabled=order.enabled
    )
    response.headers["Location"] = f"/v1/webhooks/{made.id}"
    return _view(made)


@router.get("", response_model=WebhookList, responses=described.LISTED, summary="All webhooks")
def list_webhooks(services: Served, caller: WebhooksCaller) -> WebhookList:
    """Newest first."""
    endpoints = Endpoints(services.store, caller.tenant).all()
    return WebhookList(webhooks=[_view(endpoint) for endpoint in endpoints])


@router.get(
    "/{webhook_id:webhook}",
    response_model=WebhookView,
    responses=described.SHOWN,
    summary="One webhook",
)
def get_webhook(services: Served, caller: WebhooksCaller, webhook_id: str) -> WebhookView:
    return _view(receivers.find(services, caller, webhook_id))


@router.patch(
    "/{webhook_id:webhook}",
    response_model=WebhookView,
    responses=described.CHANGED,
    openapi_extra=described.CHANGE_BODY,
    summary="Change a webhook",
)
async def patch_webhook(
    request: Request, services: Served, caller: WebhooksCaller, webhook_id: str
) -> WebhookView:
    """What waits to be told to it is told at the new URL, and not at all while it is off."""
    await run_in_threadpool(receivers.find, services, caller, webhook_id)
    body = await read_json(request, _MAX_JSON)
    try:
        order = WebhookChange.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    update = {field: getattr(order, field) for field in order.model_fields_set}
    changed = await run_in_threadpool(receivers.change, services, caller, webhook_id, update)
    return _view(changed)


@router.delete(
    "/{webhook_id:webhook}",
    status_code=204,
    response_class=Response,
    responses=described.REMOVED,
    summary="Remove a webhook",
)
def delete_webhook(services: Served, caller: WebhooksCaller, webhook_id: str) -> Response:
    """It is told nothing more, nor what waits to be told."""
    receivers.remove(services, caller, webhook_id)
    return Response(status_code=204)


def _view(endpoint: Endpoint) -> WebhookView:
    settings = endpoint.settings
    return WebhookView(
        id=endpoint.id,
        url=settings.url,
        events=settings.events,
        enabled=settings.enabled,
        disabled=settings.disabled,
        created_at=endpoint.created_at,
    )


def _told(secret: Secret, previous_until: int | None) -> SecretView:
    return SecretView(
        created_at=moment(secret.made_ms),
        previous_until=None if previous_until is None else moment(previous_until),
    )
