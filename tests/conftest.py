"""The servers and stores that tests share. A server starts when a test first asks for it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: threads only wait for each other

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from boto3.session import Session
from botocore.loaders import JSONFileLoader

from core.store.base import ObjectStore
from core.store.local import LocalStore
from core.store.s3 import S3Store
from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer
from tests.sharing import shared


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """In the order of their names: the files with most tests are not those that take longest."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = shared
    return scheduler


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """What S3 looks like to boto3 is read once, not by each session: a third of a second each."""
    read = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedServer]:
    with SeaweedServer() as server:
        yield server


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture(scope="session")
def boto3_session() -> Session:
    return Session()


@pytest.fixture
def s3_store(seaweed: SeaweedServer, boto3_session: Session) -> Iterator[S3Store]:
    """An empty store: each test has a folder of the bucket to itself."""
    store = S3Store(seaweed.settings(prefix=uuid4().hex), session=boto3_session)
    yield store
    store.close()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """Each kind of store in turn: what is promised of one is promised of both."""
    chosen: ObjectStore = request.getfixturevalue(f"{request.param}_store")
    return chosen


@pytest.fixture(params=["local", "s3"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """Settings of an empty store of each kind, for what opens its own."""
    if request.param == "local":
        return StoreSettings(path=tmp_path / "store")
    seaweed: SeaweedServer = request.getfixturevalue("seaweed")
    return StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
