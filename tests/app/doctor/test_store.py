"""What the doctor says of an object store, each made for real."""

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.doctor.examination import examine
from app.doctor.store import store_checks
from core.settings import Settings
from core.store import open_store
from core.store.settings import S3Settings, StoreSettings
from tests.app.doctor.careless import careless
from tests.app.doctor.conftest import of, state_of
from tests.servers import SeaweedServer, free_ports

NAMES = ("store", "store clock", "store conditional put")
OF_S3 = ("store public address", "store checksums")


def on(settings: Settings, s3: S3Settings) -> Settings:
    return settings.model_copy(update={"store": StoreSettings(kind="s3", s3=s3)})


def test_a_sound_store_of_each_kind_is(settings: Settings, store_settings: StoreSettings) -> None:
    """And what was put there is taken away."""
    sound = settings.model_copy(update={"store": store_settings})
    store = open_store(store_settings)
    checks = list(store_checks(sound, store))
    names = (*NAMES, *OF_S3) if store_settings.kind == "s3" else NAMES
    assert [(check.name, check.state) for check in checks] == [(name, "ok") for name in names]
    assert list(store.list("")) == []
    store.close()


def test_a_store_that_ignores_conditions_and_checksums_is_told(settings: Settings) -> None:
    """Both writers won; other bytes were taken. Only the first is a failure."""
    with careless() as (server, url):
        s3 = server.settings().model_copy(update={"endpoint_url": url})
        store = open_store(StoreSettings(kind="s3", s3=s3))
        checks = list(store_checks(on(settings, s3), store))
        assert list(store.list("")) == []
        store.close()
    assert [state_of(checks, name) for name in (*NAMES, *OF_S3)] == [
        *("ok", "ok", "failed"),
        *("ok", "warning"),
    ]


def test_a_public_address_that_does_not_answer_is_a_warning(
    settings: Settings, seaweed: SeaweedServer
) -> None:
    """It may be this machine that does not reach it; where it is is said."""
    (port,) = free_ports(1)
    public = f"http://127.0.0.1:{port}"
    s3 = seaweed.settings(prefix=uuid4().hex).model_copy(update={"public_endpoint_url": public})
    store = open_store(StoreSettings(kind="s3", s3=s3))
    [(state, found)] = of(store_checks(on(settings, s3), store), "store public address")
    store.close()
    assert state == "warning"
    assert f"127.0.0.1:{port} is not reached" in found


@pytest.mark.parametrize("wrong", ["bucket", "secret_access_key", "endpoint_url"])
def test_a_store_that_is_not_there_is_the_only_thing_said_of_it(
    settings: Settings, seaweed: SeaweedServer, wrong: str
) -> None:
    """Without the secret, and without what rests on the store."""
    (port,) = free_ports(1)
    values = {
        "bucket": "no-such-bucket",
        "secret_access_key": SecretStr("hush-hush"),
        "endpoint_url": f"http://127.0.0.1:{port}",
    }
    fewer = {wrong: values[wrong], "max_attempts": 1}
    s3 = seaweed.settings(prefix=uuid4().hex).model_copy(update=fewer)
    checks = list(examine(on(settings, s3)))
    assert state_of(checks, "store") == "failed"
    assert of(checks, "api keys") == []
    assert "hush" not in repr(checks)


def test_a_folder_that_cannot_be_written_is_told(settings: Settings) -> None:
    """A file system that takes nothing, from whoever it is."""
    store = StoreSettings(path=Path("/proc/safelora"))
    checks = list(examine(settings.model_copy(update={"store": store})))
    assert state_of(checks, "store") == "failed"
    assert state_of(checks, "store folder") == "failed"
