"""Probes, open to all: is the process alive, can it serve, which version is it."""

import logging
from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from app.description.answers import problems
from app.problems import problem
from app.services import Served
from app.views import View
from core.errors import QueueError, StoreError
from core.report import ENGINE_VERSION

_log = logging.getLogger(__name__)

router = APIRouter(tags=["health"])


class Health(View):
    status: str = "ok"


class Version(View):
    """`engine` is part of every result's identity."""

    name: str = "safelora-gate"
    engine: str = ENGINE_VERSION


@router.get("/livez", response_model=Health, summary="The process answers")
async def livez() -> Health:
    return Health()


@router.get(
    "/readyz",
    response_model=Health,
    responses=problems("not_ready"),
    summary="The object store and Redis answer",
)
def readyz(services: Served) -> Response | Health:
    checks = {"store": services.store.check, "redis": services.queue.ping}
    failed = [name for name, check in checks.items() if not _passes(name, check)]
    if failed:
        words = f"{' and '.join(failed)} cannot be used: see the gate's log"
        return problem(503, "not_ready", words, details={"failed": failed})
    return Health()


@router.get("/version", response_model=Version, summary="What is running")
async def version() -> Version:
    return Version()


def _passes(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except (StoreError, QueueError) as error:
        _log.warning("not ready: %s: %s", name, error)
        return False
    return True
