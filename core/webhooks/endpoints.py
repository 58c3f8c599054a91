"""Endpoints of tenants: URLs that are told of the ends of all jobs, or of some kinds of end.

An endpoint is there as long as its registration is. What may change lies beside it and goes with
it, so that nobody who writes it late brings a removed endpoint back.
"""

import logging
from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from core.canonical import Json, pretty_json
from core.errors import RecordUnreadable
from core.jobs import JOB_ID_PATTERN, now
from core.model import Frozen
from core.store import layout
from core.store.base import ObjectMissing, ObjectStore

EventType = Literal["job.succeeded", "job.rejected", "job.failed", "job.cancelled"]
WEBHOOK_ID_PATTERN = JOB_ID_PATTERN
Record = TypeVar("Record", bound=BaseModel)

_log = logging.getLogger(__name__)


class Registration(Frozen):
    """Put once."""

    id: Annotated[str, Field(pattern=WEBHOOK_ID_PATTERN)]
    created_at: str


class EndpointSettings(Frozen):
    """`events`: None is all there are. `disabled`: why the courier switched it off."""

    url: str
    events: list[EventType] | None = None
    enabled: bool = True
    disabled: Literal["gone"] | None = None


class Endpoint(Frozen):
    id: str
    created_at: str
    settings: EndpointSettings

    def takes(self, event: EventType) -> bool:
        chosen = self.settings.events
        return self.settings.enabled and (chosen is None or event in chosen)


class Endpoints:
    """One tenant's. All methods may raise `StoreError`."""

    def __init__(self, store: ObjectStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def add(self, webhook_id: str, settings: EndpointSettings) -> Endpoint:
        registration = Registration(id=webhook_id, created_at=now())
        self._put(layout.webhook_settings(self._tenant, webhook_id), settings)
        self._put(layout.webhook_registration(self._tenant, webhook_id), registration)
        return Endpoint(id=webhook_id, created_at=registration.created_at, settings=settings)

    def get(self, webhook_id: str) -> Endpoint | None:
        registration = self._read(
            layout.webhook_registration(self._tenant, webhook_id), Registration
        )
        settings = self._read(layout.webhook_settings(self._tenant, webhook_id), EndpointSettings)
        if registration is None or settings is None:
            return None
        return Endpoint(id=webhook_id, created_at=registration.created_at, settings=settings)

    def change(self, webhook_id: str, settings: EndpointSettings) -> Endpoint | None:
        """The endpoint as it is now; None if it was removed. Of two changes the last one stands."""
        key = layout.webhook_settings(self._tenant, webhook_id)
        self._put(key, settings)
        if self._store.info(layout.webhook_registration(self._tenant, webhook_id)) is None:
            self._store.delete(key)
        return self.get(webhook_id)

    def remove(self, webhook_id: str) -> None:
        self._store.delete(layout.webhook_registration(self._tenant, webhook_id))
        self._store.delete(layout.webhook_settings(self._tenant, webhook_id))

    def ids(self) -> Iterator[str]:
        """Newest first."""
        prefix = layout.webhook_endpoints(self._tenant)
        for key in self._store.list(prefix):
            webhook_id, _, name = key.removeprefix(prefix).partition("/")
            if name == layout.WEBHOOK_REGISTRATION:
                yield webhook_id

    def all(self) -> Iterator[Endpoint]:
        """Those that can be read; the log names the others."""
        for webhook_id in self.ids():
            try:
                endpoint = self.get(webhook_id)
            except RecordUnreadable as error:
                _log.error("nothing is told to it: %s", error)
                continue
            if endpoint is not None:
                yield endpoint

    def _put(self, key: str, record: BaseModel) -> None:
        dumped: Json = record.model_dump(mode="json")
        self._store.put(key, pretty_json(dumped))

    def _read(self, key: str, model: type[Record]) -> Record | None:
        try:
            return model.model_validate_json(self._store.get(key))
        except ObjectMissing:
            return None
        except ValidationError as error:
            raise RecordUnreadable(
                f"{key} is not a {model.__name__} of this version: restore it or remove it"
            ) from error
