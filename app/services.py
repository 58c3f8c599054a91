"""What the routes work with, built once from the settings."""

from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from app.ends import Ends
from app.feed import Feed
from app.manifests import Manifests
from core.observing.api import ApiMetrics
from core.observing.process import watched
from core.queue import JobQueue, connect
from core.records import Records
from core.scratch import Scratch
from core.settings import Settings
from core.sources import S3Sources
from core.store import open_store
from core.store.base import ObjectStore

PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Services:
    """The parts that outlive a request. All but `feed` and `ends` are safe to share between
    threads. `probed`: the same queue, for whoever cannot wait long for what Redis says of it.

    `closing` is set once the process is to end: what waits for something else stops waiting.
    """

    settings: Settings
    store: ObjectStore
    records: Records
    queue: JobQueue
    probed: JobQueue
    feed: Feed
    ends: Ends
    manifests: Manifests
    sources: S3Sources
    scratch: Scratch
    metrics: ApiMetrics
    closing: Event = field(default_factory=Event)

    def close(self) -> None:
        self.scratch.close()
        self.queue.redis.close()
        self.probed.redis.close()
        self.sources.close()
        self.store.close()


def open_services(settings: Settings) -> Services:
    """Reaches for nothing yet: a store or Redis that is down stops nobody from starting."""
    metrics = ApiMetrics(settings)
    store = watched(open_store(settings.store), metrics.registry)
    hasty = settings.redis.model_copy(update={"connect_timeout": PROBE_SECONDS})
    probed = JobQueue(connect(hasty, answer_within=PROBE_SECONDS), settings.queue)
    metrics.watch_queue(probed)
    return Services(
        settings=settings,
        store=store,
        records=Records(store),
        queue=JobQueue(
            connect(settings.redis, answer_within=settings.redis.answer_timeout),
            settings.queue,
            settings.tenants,
        ),
        probed=probed,
        feed=Feed(settings.redis),
        ends=Ends(settings.redis),
        manifests=Manifests(store),
        sources=S3Sources(settings),
        scratch=Scratch(settings.scratch),
        metrics=metrics,
    )


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Served = Annotated[Services, Depends(_services)]
