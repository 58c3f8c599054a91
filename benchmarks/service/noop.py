"""The real API with one resource more, whose jobs do nothing.

`python -m benchmarks.service.noop PORT` is `safelora-gate serve`; a POST to `PATH` puts a job that
does nothing onto the gate's own queue, a GET waits for its end as `/v1/jobs/{id}` does.
"""

import argparse
import logging
import secrets
import sys
from unittest.mock import patch

from fastapi import APIRouter, FastAPI
from starlette.requests import Request

import app.serving
from app.access.callers import JobsCaller
from app.main import create_app
from app.services import Served
from app.waiting import awaited
from core.events import ended_mark
from core.settings import Settings, load_settings

NOOP = "benchmarks.service.noop"
PATH = "/v1/noop"
_KEPT = 60  # seconds, as of a job of the service

router = APIRouter(prefix=PATH)


@router.post("", status_code=202)
def post(services: Served, caller: JobsCaller) -> dict[str, str]:
    """Nothing is stored: what is left is a job on the queue."""
    del caller
    job_id = secrets.token_hex(13)
    services.queue.rq.enqueue_call(
        NOOP, kwargs={"job_id": job_id}, job_id=job_id, timeout=900, result_ttl=_KEPT
    )
    return {"id": job_id, "state": "queued"}


@router.get("/{job_id}")
async def get(
    request: Request, services: Served, caller: JobsCaller, job_id: str, wait: float = 0
) -> dict[str, str]:
    del caller

    def state() -> str:
        return "succeeded" if services.queue.redis.exists(ended_mark(job_id)) else "queued"

    seen = await awaited(services, request, job_id, wait, state, is_over=lambda s: s != "queued")
    return {"id": job_id, "state": seen}


def _app(settings: Settings) -> FastAPI:
    application = create_app(settings)
    application.include_router(router)
    return application


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with patch.object(app.serving, "create_app", _app):
        app.serving.run(load_settings(), "127.0.0.1", options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
