"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.concurrency import run_in_threadpool

from app import problems
from app.access.audit import AuditLog
from app.access.auditing import AuditMiddleware
from app.access.door import AccessMiddleware
from app.access.failures import Failures
from app.access.holders import Holders
from app.access.rates import RequestRates
from app.access.sessions import Sessions
from app.api import (
    alignments,
    deliveries,
    docs,
    events,
    health,
    hooks,
    jobs,
    metrics,
    preview,
    results,
    signing_keys,
    steering,
    uploads,
    webhooks,
)
from app.api.alignments import AlignmentOrder, PoliciesOrder
from app.api.preview import PreviewOrder
from app.api.uploads import UploadOrder
from app.api.webhooks import WebhookChange, WebhookOrder
from app.description.openapi import describe
from app.hooks.sources import HookSources
from app.intake.order import JobOrder
from app.metering import MeteringMiddleware
from app.problems import Problem
from app.services import open_services
from app.web import site
from app.web.pages import problem_page
from core.policy import Policy
from core.report import ENGINE_VERSION
from core.settings import Settings

_APIS = (
    jobs,
    events,
    steering,
    results,
    preview,
    uploads,
    deliveries,
    webhooks,
    alignments,
    hooks,
    signing_keys,
    health,
    metrics,
    docs,
    site,
)

_BODIES = (
    Policy,
    JobOrder,
    PreviewOrder,
    UploadOrder,
    AlignmentOrder,
    PoliciesOrder,
    WebhookOrder,
    WebhookChange,
)


_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_TELEMETRY: TelemetryConfig = {
    "metrics": False,  # ours are Prometheus's
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": lambda scope: scope["path"] in _PROBES,
}


def create_app(settings: Settings) -> FastAPI:
    """The HTTP API of one gate. Nothing is reached until the first request needs it.

    Raises `SettingsInvalid` if the audit log cannot be written, or a secret of a hook not be read.
    """
    sources = HookSources(settings.hooks)
    services = open_services(settings)
    rates = RequestRates(settings)
    failures = Failures(
        settings.access.failures_per_minute, on_failure=services.metrics.sign_in_failures.inc
    )
    holders = Holders(settings.access.keys, services.store, failures)
    sessions = Sessions(settings)
    audit = AuditLog(settings.access)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with suppress(OSError):  # the first upload says what is wrong with the disk
            await run_in_threadpool(services.scratch.sweep)
        yield
        await services.feed.close()
        await services.ends.close()
        await sessions.close()
        await rates.close()
        await run_in_threadpool(services.close)

    app = FastAPI(
        title="Safe LoRA Gate",
        summary="Projects LoRA adapters onto the alignment subspace of their model.",
        version=ENGINE_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # to a URL of the Host header: a key would be sent there
        separate_input_output_schemas=False,
        telemetry=_TELEMETRY,
    )
    app.state.services, app.state.metrics = services, services.metrics
    app.state.hooks, app.state.rates, app.state.failures = sources, rates, failures
    app.state.holders, app.state.sessions = holders, sessions
    app.add_middleware(
        AccessMiddleware,
        services=services,
        rates=rates,
        failures=failures,
        holders=holders,
        sessions=sessions,
        page_of=problem_page,
    )
    app.add_middleware(AuditMiddleware, audit=audit)  # around the other: what that refuses counts
    app.add_middleware(MeteringMiddleware, metrics=services.metrics)
    problems.install(app)
    for api in _APIS:
        app.include_router(api.router)
    describe(app, *_BODIES, Problem)
    return app
