"""What the routes work with, built once from the settings."""

from dataclasses import dataclass, field
from threading import Event
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from app.ends import Ends
from app.feed import Feed
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
    """The parts that outlive a request. All but `feed` and `ends` are safe to share between
    threads.

    `closing` is set once the process is to end: what waits for something else stops waiting.
    """

    settings: Settings
    store: ObjectStore
    records: Records
    queue: JobQueue
    feed: Feed
    ends: Ends
    manifests: Manifests
    sources: S3Sources
    scratch: Scratch
    closing: Event = field(default_factory=Event)

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
            connect(settings.redis, answer_within=settings.redis.answer_timeout),
            settings.queue,
            settings.tenants,
        ),
        feed=Feed(settings.redis),
        ends=Ends(settings.redis),
        manifests=Manifests(store),
        sources=S3Sources(settings),
        scratch=Scratch(settings.scratch),
    )


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Served = Annotated[Services, Depends(_services)]
