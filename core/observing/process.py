"""What every process tells of itself: its version, memory, disks, and how its store answers."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal, cast

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from core.errors import StoreError
from core.observing.family import Counted, Family, Gauged, Spread
from core.report import ENGINE_VERSION
from core.settings import Settings
from core.store.base import ObjectChanged, ObjectExists, ObjectMissing, ObjectStore

Service = Literal["api", "worker", "courier"]

INFO: Final = Gauged("safelora_info", "1, of each process", ("service", "version"))
DISK_FREE: Final = Gauged(
    "safelora_disk_free_bytes", "room left on the disk of a place", ("place",)
)
DISK_SIZE: Final = Gauged("safelora_disk_size_bytes", "size of the disk of a place", ("place",))
STORE_SECONDS: Final = Spread(
    "safelora_store_call_duration_seconds",
    "calls of the object store, listings left out",
    ("operation",),
    bounds=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0),
)
STORE_ERRORS: Final = Counted(
    "safelora_store_errors_total",
    "calls of the object store that failed; an object that is missing, or there already, is no"
    " failure",
    ("operation",),
)
FAMILIES: Final[tuple[Family, ...]] = (INFO, DISK_FREE, DISK_SIZE, STORE_SECONDS, STORE_ERRORS)

_ANSWERS = (ObjectMissing, ObjectExists, ObjectChanged)


def new_registry(
    service: Service, settings: Settings | None, places: Mapping[str, Path]
) -> CollectorRegistry:
    """Of one process, which writes into these `places` by name, and into a store that is a folder;
    without settings no disk is looked at."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    INFO.made(registry).labels(service, ENGINE_VERSION).set(1)
    if settings is not None and settings.store.kind == "local":
        places = {**places, "store": settings.store.path}
    registry.register(_Disks(places))
    return registry


class _Disks(Collector):
    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places

    def collect(self) -> Iterable[Metric]:
        free, size = DISK_FREE.read(), DISK_SIZE.read()
        for place, path in self._places.items():
            usage = shutil.disk_usage(existing(path))
            free.add_metric([place], usage.free)
            size.add_metric([place], usage.total)
        return free, size


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def watched(store: ObjectStore, registry: CollectorRegistry) -> ObjectStore:
    """The same store, with its calls timed and counted."""
    return cast(ObjectStore, _WatchedStore(store, registry))


def _call(name: str) -> Callable[..., Any]:
    def timed(self: "_WatchedStore", *args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return getattr(self.store, name)(*args, **kwargs)
        except _ANSWERS:
            raise
        except StoreError:
            self.errors.labels(name).inc()
            raise
        finally:
            self.seconds.labels(name).observe(perf_counter() - start)

    return timed


def _listing(name: str) -> Callable[..., Iterator[Any]]:
    """Not timed: its pages are asked for as it is read, so a slow reader would be a slow store."""

    def counted(self: "_WatchedStore", *args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from getattr(self.store, name)(*args, **kwargs)
        except StoreError:
            self.errors.labels(name).inc()
            raise

    return counted


class _WatchedStore:
    """Passes everything on, in the form of an `ObjectStore`."""

    def __init__(self, store: ObjectStore, registry: CollectorRegistry) -> None:
        self.store = store
        self.seconds = STORE_SECONDS.made(registry)
        self.errors = STORE_ERRORS.made(registry)

    put, put_file, put_all = _call("put"), _call("put_file"), _call("put_all")
    copy, commit_all = _call("copy"), _call("commit_all")
    get, get_file, open, info = _call("get"), _call("get_file"), _call("open"), _call("info")
    delete, give_up, check = _call("delete"), _call("give_up"), _call("check")
    list, entries = _listing("list"), _listing("entries")
    folders, unfinished = _listing("folders"), _listing("unfinished")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)
