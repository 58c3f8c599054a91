"""What the store's settings take, and what they refuse."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from core.store import open_store
from core.store.local import LocalStore
from core.store.s3 import S3Store
from core.store.settings import S3Settings, StoreSettings


def test_the_default_is_a_local_folder(tmp_path: Path) -> None:
    """With nothing set, objects go to a folder."""
    assert StoreSettings().kind == "local"
    assert isinstance(open_store(StoreSettings(path=tmp_path)), LocalStore)


def test_s3_settings_open_an_s3_store() -> None:
    """Opening reaches for nothing: the store may come up later."""
    settings = S3Settings(bucket="gate", endpoint_url="http://127.0.0.1:1")

    store = open_store(StoreSettings(kind="s3", s3=settings))

    assert isinstance(store, S3Store)
    store.close()


def test_kind_s3_needs_its_settings() -> None:
    """Half a configuration is refused at the door."""
    with pytest.raises(ValidationError, match="kind s3 needs the s3 settings"):
        StoreSettings(kind="s3")


@pytest.mark.parametrize("prefix", ["gate", "gate/", "/gate", "/gate/"])
def test_a_prefix_is_a_folder_however_it_is_written(prefix: str) -> None:
    """Slashes around the prefix mean nothing."""
    assert S3Settings(bucket="gate", prefix=prefix).prefix == "gate"


@pytest.mark.parametrize("prefix", ["..", "a//b", "a\\b"])
def test_a_hostile_prefix_is_refused(prefix: str) -> None:
    """A prefix follows the rules of keys."""
    with pytest.raises(ValidationError, match="cannot be a key"):
        S3Settings(bucket="gate", prefix=prefix)


@pytest.mark.parametrize("url", ["127.0.0.1:8333", "s3://bucket", "http://", "file:///etc"])
def test_an_endpoint_is_an_http_address(url: str) -> None:
    """What boto3 would fail on later, in its own words, is refused in ours."""
    with pytest.raises(ValidationError, match="http://host:port"):
        S3Settings(bucket="gate", endpoint_url=url)


def test_an_endpoint_holds_no_credentials() -> None:
    """They would show in logs and in presigned URLs."""
    with pytest.raises(ValidationError, match="access_key_id") as caught:
        S3Settings(bucket="gate", public_endpoint_url="http://me:hunter2@store:8333")
    assert "hunter2" not in str(caught.value)


def test_half_a_pair_of_keys_is_refused_in_secret() -> None:
    """The error does not show the secret that came without its id."""
    with pytest.raises(ValidationError, match="together, or neither") as caught:
        S3Settings(bucket="gate", secret_access_key=SecretStr("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_show_the_secret() -> None:
    """Settings can be logged."""
    settings = S3Settings(bucket="gate", access_key_id="id", secret_access_key=SecretStr("hunter2"))

    assert "hunter2" not in repr(settings) + settings.model_dump_json()
