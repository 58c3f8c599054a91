"""Probes, open to all: is the process alive, can it serve, which version is it."""

import logging
import shutil
from typing import Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from app.description.answers import problems
from app.problems import problem
from app.services import Served, Services
from app.views import View
from core.errors import QueueError, StoreError
from core.observing.process import existing
from core.queue_state import queue_state
from core.report import ENGINE_VERSION

LEAST_ROOM: Final = 64 * 2**20  # bytes; with less no upload is taken

_log = logging.getLogger(__name__)

router = APIRouter(tags=["health"])

Checked = Literal["store", "redis", "disk", "workers", "courier"]
Found = Literal["ok", "failed", "missing", "unknown"]
_NEEDED: Final[tuple[Checked, ...]] = ("store", "disk")
_WAITED_FOR: Final[tuple[Checked, ...]] = ("redis", "workers", "courier")


class Health(View):
    status: str = "ok"


class Readiness(Health):
    """`checks`: what was found of each part; `warnings`: those without which jobs are accepted, and
    wait."""

    checks: dict[Checked, Found]
    warnings: list[Checked]


class Version(View):
    """`engine` is part of every result's identity."""

    name: str = "safelora-gate"
    engine: str = ENGINE_VERSION


@router.get("/livez", response_model=Health, summary="The process answers")
async def livez() -> Health:
    return Health()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses=problems("not_ready"),
    summary="What is needed to serve is there",
)
def readyz(services: Served) -> Response | Readiness:
    """200 while the object store answers and the disk has room, else 503, where `failed` names what
    has not. That Redis does not answer, or no worker or no courier was heard of, is a warning: an
    API that is taken out for it would refuse what it can keep."""
    checks: dict[Checked, Found] = {
        "store": _store(services),
        "disk": _disk(services),
        **_heard_of(services),
    }
    failed = [name for name in _NEEDED if checks[name] != "ok"]
    if failed:
        words = f"{' and '.join(failed)} cannot be used: see the gate's log"
        return problem(503, "not_ready", words, details={"failed": failed, "checks": checks})
    return Readiness(checks=checks, warnings=[n for n in _WAITED_FOR if checks[n] != "ok"])


@router.get("/version", response_model=Version, summary="What is running")
async def version() -> Version:
    return Version()


def _store(services: Services) -> Found:
    try:
        services.store.check()
    except StoreError as error:
        _log.warning("not ready: store: %s", error)
        return "failed"
    return "ok"


def _disk(services: Services) -> Found:
    """Where uploads are unpacked, and a local store's."""
    settings = services.settings
    places = [settings.scratch, *([settings.store.path] if settings.store.kind == "local" else [])]
    for place in places:
        free = shutil.disk_usage(existing(place)).free
        if free < LEAST_ROOM:
            _log.warning("not ready: the disk of %s has %d bytes left", place, free)
            return "failed"
    return "ok"


def _heard_of(services: Services) -> dict[Checked, Found]:
    """Redis, and those who are heard of through it."""
    try:
        state = queue_state(services.probed)
    except QueueError as error:
        _log.warning("redis: %s", error)
        return {"redis": "failed", "workers": "unknown", "courier": "unknown"}
    workers = sum(state.workers.values()) > 0
    return {
        "redis": "ok",
        "workers": "ok" if workers else "missing",
        "courier": "ok" if state.courier else "missing",
    }
