"""What the routes work with, built once from the settings."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from app.manifests import Manifests
from core.queue import JobQueue, connect
from core.records import Records
from core.scratch import Scratch
from core.settings import Settings
from core.sources import S3Sources
from core.store import open_store
from core.store.base import ObjectStore


@dataclass(frozen=True)
class Services:
    """The parts that outlive a request. All are safe to share between threads."""

    settings: Settings
    store: ObjectStore
    records: Records
    queue: JobQueue
    manifests: Manifests
    sources: S3Sources
    scratch: Scratch

    def close(self) -> None:
        self.scratch.close()
        self.queue.redis.close()
        self.sources.close()
        self.store.close()


def open_services(settings: Settings) -> Services:
    """Reaches for nothing yet: a store or Redis that is down stops nobody from starting."""
    store = open_store(settings.store)
    return Services(
        settings=settings,
        store=store,
        records=Records(store),
        queue=JobQueue(
            connect(settings.redis, answer_within=settings.redis.answer_timeout), settings.queue
        ),
        manifests=Manifests(store),
        sources=S3Sources(settings),
        scratch=Scratch(settings.scratch),
    )


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Served = Annotated[Services, Depends(_services)]
