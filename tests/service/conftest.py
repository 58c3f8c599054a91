"""One running service for each kind of store, with the golden pair registered."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer
from tests.service.running import Running, running_service
from tests.worker.making import GOLDEN

SOURCES = "s3://uploads/in/"


@pytest.fixture(scope="session", params=["local", "s3"])
def service(
    request: pytest.FixtureRequest,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(f"service-{request.param}")
    roots = tmp_path_factory.getbasetemp()
    store = StoreSettings(path=folder / "store")
    allow: list[str] = []
    if request.param == "s3":
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
        allow = [SOURCES]
    with running_service(
        store, valkey.url, folder, s3_allow=allow, roots=[GOLDEN, roots]
    ) as running:
        record = running.register(
            "tiny",
            GOLDEN / "base",
            GOLDEN / "aligned",
            base_names=["golden/tiny-llama-chat"],
            dtype="float32",
        )
        assert record["state"] == "ready", record
        yield running
