"""A checkpoint of a hub is read as its folder would be, one commit of it, and range by range."""

import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core import pace
from core.errors import AlignmentError, GateError, StoreError
from core.hub_places import HubUri
from core.settings import AlignmentSettings
from tests.core.store.faults import running
from tests.counting import CountingProxy
from tests.worker.alignment.checkpoint_files.hub import SIGNATURE, TOKEN, Hub, Model
from worker.alignment.checkpoint_files import FolderFiles
from worker.alignment.checkpoint_files.ahead import PIECE
from worker.alignment.checkpoint_files.hub import HubFiles

NAME = "model.safetensors"
MEGABYTE = 2**20
BIG = os.urandom(2 * PIECE + 12_345)
PIECES = 3  # of BIG
FILES = {"config.json": b'{"model_type": "llama"}', NAME: BIG, "README.md": b"# Hello"}
MAIN = HubUri("acme/base", "main")


@pytest.fixture
def model(hub: Hub) -> Model:
    model = hub.models["acme/base"] = Model()
    model.commit({**FILES, "original/params.json": b"{}"})
    return model


@pytest.fixture
def files(model: Model, hub_settings: AlignmentSettings) -> Iterator[HubFiles]:
    del model
    with closing(HubFiles(MAIN, hub_settings)) as opened:
        yield opened


def with_token(settings: AlignmentSettings, token: str = TOKEN) -> AlignmentSettings:
    return settings.model_copy(update={"hub_token": SecretStr(token)})


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_files_of_the_root_are_those_of_a_folder(files: HubFiles, tmp_path: Path) -> None:
    """Names and sizes; what lies deeper, or is no file of a checkpoint, is left out."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert files.sizes == FolderFiles(tmp_path).sizes
    assert files.place.startswith("hf://acme/base@")
    assert len(files.place.rpartition("@")[2]) == 40


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bounds=st.tuples(st.integers(0, len(BIG)), st.none() | st.integers(0, len(BIG) + 9)))
def test_any_range_has_the_bytes_of_the_file(
    files: HubFiles, bounds: tuple[int, int | None]
) -> None:
    """Over one connection or several."""
    start, end = bounds
    with files.open(NAME, start, end) as stream:
        assert stream.read() == BIG[start:end]


def test_branch_that_moves_is_not_followed(
    files: HubFiles, model: Model, hub_settings: AlignmentSettings
) -> None:
    """The commit is looked up once; another look gives another version."""
    model.commit({**FILES, NAME: BIG[::-1]})
    with files.open(NAME) as stream:
        assert stream.read() == BIG
    files.check_unchanged()
    with closing(HubFiles(MAIN, hub_settings)) as moved:
        assert moved.version != files.version
        with moved.open(NAME, 0, 9) as stream:
            assert stream.read() == BIG[:-10:-1]


@pytest.mark.parametrize("revision", ["v1.0", "fine-tuned/2"])
def test_other_revisions_are_found(
    revision: str, model: Model, hub_settings: AlignmentSettings
) -> None:
    """Tags, and branches with a slash."""
    sha = model.commit({NAME: b"other"}, revision)
    with closing(HubFiles(HubUri("acme/base", revision), hub_settings)) as files:
        assert files.place == f"hf://acme/base@{sha}"
        with files.open(NAME) as stream:
            assert stream.read() == b"other"


@pytest.mark.parametrize("end", [MEGABYTE, len(BIG)], ids=["a piece", "several pieces"])
def test_dropped_connections_are_taken_up_again(files: HubFiles, hub: Hub, end: int) -> None:
    """The bytes are right, and those that came are not asked for again."""
    hub.cuts, hub.keep = 3, 400_000
    with files.open(NAME, 5, end) as stream:
        assert stream.read() == BIG[5:end]
    assert hub.cuts == 0


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_overloaded_hub_is_asked_again(files: HubFiles, hub: Hub, status: int) -> None:
    """A refusal or two end nothing."""
    hub.refusals, hub.refusal = 2, status
    with files.open(NAME, 0, 100) as stream:
        assert stream.read() == BIG[:100]


def test_limit_of_requests_is_waited_out(files: HubFiles, hub: Hub) -> None:
    """As long as the hub asks for, unless nobody waits any more."""
    hub.refusals, hub.refusal, hub.pause = 1, 429, 1
    started = time.monotonic()
    with files.open(NAME, 0, 100) as stream:
        assert stream.read() == BIG[:100]
    assert time.monotonic() - started >= 1.0
    hub.refusals, hub.pause = 1_000, 60
    stream = files.open(NAME)
    while len(hub.of_cdn()) < 2 + PIECES:
        time.sleep(0.01)
    stream.close()
    files.close()
    assert time.monotonic() - started < 30.0


@pytest.mark.parametrize("fault", ["drips", "silent", "pauses"])
@pytest.mark.parametrize("end", [MEGABYTE, len(BIG)], ids=["a piece", "several pieces"])
def test_closing_ends_every_read_within_a_second(
    fault: str, end: int, files: HubFiles, hub: Hub
) -> None:
    """Whatever the hub is doing meanwhile; no thread stays behind, and closing again is nothing."""
    hub.drips = 1_000 if fault == "drips" else 0
    hub.silent = fault == "silent"
    hub.refusals, hub.refusal, hub.pause = (1_000, 429, 60) if fault == "pauses" else (0, 0, 0)
    errors: list[BaseException] = []

    def reader() -> None:
        with pytest.raises(StoreError) as caught, files.open(NAME, 0, end) as stream:
            stream.read()
        errors.append(caught.value)

    readers = [threading.Thread(target=reader) for _ in range(3)]
    for thread in readers:
        thread.start()
    while len(hub.of_cdn()) < 3:
        time.sleep(0.01)
    started = time.monotonic()
    files.close()
    for thread in readers:
        thread.join()
    assert time.monotonic() - started < 1.0
    assert len(errors) == len(readers)
    assert not any(thread.name.startswith("read-ahead") for thread in threading.enumerate())
    files.close()
    with pytest.raises(StoreError):
        files.open(NAME)


def test_connection_that_only_drips_counts_as_dropped(
    files: HubFiles, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may be better; when none is, that is an error in the end."""
    monkeypatch.setattr(pace, "WINDOW", 0.3)
    hub.drips = 2
    with files.open(NAME, 0, 1_000) as stream:
        assert stream.read() == BIG[:1_000]
    assert len(hub.of_cdn()) == 3
    hub.drips = 1_000
    with files.open(NAME, 0, 1_000) as stream, pytest.raises(StoreError) as caught:
        stream.read()
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize(
    ("endless", "error"),
    [("description", StoreError), ("redirect", None), ("refusal", AlignmentError)],
)
def test_answer_without_end_is_not_read(
    endless: str, error: type[GateError] | None, model: Model, hub: Hub, hub_settings: Any
) -> None:
    """What is not wanted is left, and a description has its limit."""
    del model
    hub.endless = endless

    def first_bytes() -> bytes:
        with closing(HubFiles(MAIN, hub_settings)) as files, files.open(NAME, 0, 9) as stream:
            return stream.read()

    if error is None:
        assert first_bytes() == BIG[:9]
    else:
        with pytest.raises(error):
            first_bytes()


@pytest.mark.parametrize(
    "told",
    [
        {"sha": "main"},
        {"sha": "0123456789abcdef0123456789abcdef01234567\n"},
        {"sha": None},
        {"siblings": [{"rfilename": "config.json", "size": -5}]},
        {"siblings": [{"rfilename": "config.json", "size": "12"}]},
        {"siblings": [{"rfilename": "config.json", "size": True}]},
        {"siblings": [{"rfilename": 5, "size": 5}]},
        {"siblings": 5},
    ],
)
def test_answer_that_describes_no_model_is_not_believed(
    told: dict[str, object], model: Model, hub: Hub, hub_settings: AlignmentSettings
) -> None:
    """A commit is what a cache is keyed by, and sizes are what is asked for."""
    del model
    hub.told = told
    with pytest.raises(StoreError, match="describes no model"):
        HubFiles(MAIN, hub_settings)


def test_hub_that_stays_away_is_worth_another_attempt_later(files: HubFiles, hub: Hub) -> None:
    """A `StoreError`, which the worker tries again, after some tries of its own."""
    hub.refusals = 1_000
    with files.open(NAME, 0, 100) as stream, pytest.raises(StoreError) as caught:
        stream.read()
    assert caught.value.code == "source_unavailable"
    assert 2 <= len(hub.of_cdn()) <= 10


def test_only_the_range_is_sent(model: Model, hub: Hub, hub_settings: AlignmentSettings) -> None:
    """Counted at the server: the range, and some headers."""
    del model
    start, end = 1_000, 1_000 + PIECE + 3 * MEGABYTE
    with running(CountingProxy(hub.cdn.server_port)) as wire:
        url, hub.cdn.url = hub.cdn.url, wire.url
        with closing(HubFiles(MAIN, hub_settings)) as files, files.open(NAME, start, end) as stream:
            while stream.read(MEGABYTE):
                pass
        hub.cdn.url = url
    assert end - start < wire.answered < 1.02 * (end - start)


@pytest.mark.parametrize("fault", ["ignores_range", "shifts_range"])
def test_server_that_sends_other_bytes_is_not_believed(
    files: HubFiles, hub: Hub, fault: str
) -> None:
    """Neither the whole file, which is not downloaded, nor another part of it."""
    setattr(hub, fault, True)
    with files.open(NAME, 10, 20) as stream, pytest.raises(AlignmentError) as caught:
        stream.read()
    assert caught.value.code == "source_unreadable"
    assert "parts" in caught.value.message
    assert len(hub.of_cdn()) == 1


def test_whole_file_may_come_without_a_range(files: HubFiles, hub: Hub) -> None:
    """A hub that ignores Range sends just that."""
    hub.ignores_range = True
    with files.open("config.json") as stream:
        assert stream.read() == FILES["config.json"]


def test_offline_worker_is_named(
    model: Model, hub_settings: AlignmentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What huggingface_hub's own setting forbids is not tried, and not tried again."""
    del model
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AlignmentError, match="HF_HUB_OFFLINE"):
        HubFiles(MAIN, hub_settings)


@pytest.mark.parametrize(
    ("uri", "fields", "token", "code", "advice"),
    [
        (HubUri("acme/none", "main"), {}, None, "source_not_found", "HUB_TOKEN"),
        (HubUri("acme/base", "none"), {}, None, "source_not_found", "revision"),
        (MAIN, {"private": True}, None, "source_not_found", "HUB_TOKEN"),
        (MAIN, {}, "hf_wrong", "source_unreadable", "correct SAFELORA_ALIGNMENTS__HUB_TOKEN"),
        (MAIN, {"renamed": "evil/base"}, None, "source_not_found", "another name"),
        (MAIN, {"without_sizes": True}, None, "source_unreadable", "sizes"),
    ],
)
def test_refusals_say_what_to_do(
    uri: HubUri,
    fields: dict[str, Any],
    token: str | None,
    code: str,
    advice: str,
    model: Model,
    hub: Hub,
    hub_settings: AlignmentSettings,
) -> None:
    """Each with a code of its own, before anything is read."""
    del model
    for name, value in fields.items():
        setattr(hub, name, value)
    chosen = with_token(hub_settings, token) if token else hub_settings
    with pytest.raises(GateError, match=advice) as caught:
        HubFiles(uri, chosen)
    assert caught.value.code == code
    assert "hf_wrong" not in told(caught.value)


def test_gated_model_is_named_as_one(files: HubFiles, hub: Hub) -> None:
    """Its description is public, its files are not."""
    hub.gated = True
    with files.open(NAME, 0, 9) as stream, pytest.raises(AlignmentError, match="terms") as caught:
        stream.read()
    assert caught.value.code == "source_unreadable"


def test_hub_that_does_not_answer_is_worth_another_attempt(model: Model, hub: Hub) -> None:
    """Nobody listens there."""
    del model, hub
    nobody = AlignmentSettings(hub_endpoint="http://127.0.0.1:9")
    with pytest.raises(StoreError, match="HUB_ENDPOINT") as caught:
        HubFiles(MAIN, nobody)
    assert caught.value.code == "source_unavailable"


def test_token_reaches_the_hub_alone(
    model: Model, hub: Hub, hub_settings: AlignmentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Not its CDN, no log at any level, no message, no `repr`; nor does a signed URL."""
    del model
    hub.private = True
    with caplog.at_level(logging.DEBUG), closing(HubFiles(MAIN, with_token(hub_settings))) as files:
        with files.open(NAME, 0, 9) as stream:
            assert stream.read() == BIG[:9]
        hub.refusals = 1_000
        with files.open(NAME, 0, 9) as stream, pytest.raises(StoreError) as caught:
            stream.read()
    assert {asked.authorization for asked in hub.asked if asked not in hub.of_cdn()} == {
        f"Bearer {TOKEN}"
    }
    assert {asked.authorization for asked in hub.of_cdn()} == {None}
    said = caplog.text + told(caught.value) + repr(files.version) + repr(with_token(hub_settings))
    assert TOKEN not in said
    assert SIGNATURE not in said


def test_nothing_but_the_model_is_asked_for(model: Model, hub: Hub) -> None:
    """No telemetry, also where huggingface_hub's own default endpoint is in force."""
    del model
    code = (
        "from core.hub_places import HubUri; from core.settings import AlignmentSettings;"
        "from worker.alignment.checkpoint_files.hub import HubFiles;"
        "files = HubFiles(HubUri('acme/base', 'main'), AlignmentSettings());"
        "files.open('config.json').read(); files.close()"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "AI_AGENT": "someone"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert len(hub.asked) == 3
    assert all("base" in asked.path for asked in hub.asked)
    assert not any("agent/" in asked.agent or "torch" in asked.agent for asked in hub.asked)
