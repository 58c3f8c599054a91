"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app import problems
from app.access import AccessMiddleware
from app.api import alignments, events, health, jobs, results, steering, uploads
from app.api.alignments import AlignmentOrder, PoliciesOrder
from app.api.uploads import UploadOrder
from app.intake.order import JobOrder
from app.openapi import describe
from app.problems import Problem
from app.services import open_services
from core.policy import Policy
from core.report import ENGINE_VERSION
from core.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The HTTP API of one gate. Nothing is reached until the first request needs it."""
    services = open_services(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with suppress(OSError):  # the first upload says what is wrong with the disk
            await run_in_threadpool(services.scratch.sweep)
        yield
        await services.feed.close()
        await run_in_threadpool(services.close)

    app = FastAPI(
        title="Safe LoRA Gate",
        summary="Projects LoRA adapters onto the alignment subspace of their model.",
        version=ENGINE_VERSION,
        lifespan=lifespan,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.services = services
    app.add_middleware(AccessMiddleware, settings=settings.access)
    problems.install(app)
    for api in (jobs, events, steering, results, uploads, alignments, health):
        app.include_router(api.router)
    describe(app, Policy, JobOrder, UploadOrder, AlignmentOrder, PoliciesOrder, Problem)
    return app
