"""One hub for each test, and no proxy between it and us."""

from collections.abc import Iterator

import pytest
from huggingface_hub import close_session, constants

from core.settings import AlignmentSettings
from tests.worker.alignment.checkpoint_files.hub import Hub, running_hub
from worker.alignment.checkpoint_files import hub_patience


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever proxies and tokens the environment names, and without long pauses."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(hub_patience, "PAUSE", 0.01)
    close_session()
    yield
    close_session()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        yield running


@pytest.fixture
def hub_settings(hub: Hub) -> AlignmentSettings:
    return AlignmentSettings(hub_allow=["acme/"], hub_endpoint=hub.url)
