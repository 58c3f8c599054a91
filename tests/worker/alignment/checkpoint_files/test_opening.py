"""A record's place is opened only where the settings allow it now, whatever the record says."""

import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from core.errors import AlignmentError
from core.settings import AlignmentSettings
from core.store.settings import StoreSettings
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer
from tests.worker.alignment.checkpoint_files.hub import Hub, Model
from worker.alignment.checkpoint_files import FolderFiles, open_files

LOCAL = StoreSettings()
CONFIG = b'{"model_type": "llama"}'


def code_of(place: str, settings: AlignmentSettings, store: StoreSettings = LOCAL) -> str:
    with pytest.raises(AlignmentError) as caught:
        open_files(place, settings, store)
    return caught.value.code


def test_each_kind_of_place_gives_the_same_files(
    seaweed: SeaweedServer, hub: Hub, tmp_path: Path
) -> None:
    """A folder, a prefix, a model: one interface."""
    prefix = uuid4().hex
    (tmp_path / "config.json").write_bytes(CONFIG)
    hub.models["acme/base"] = Model()
    hub.models["acme/base"].commit({"config.json": CONFIG})
    settings = AlignmentSettings(
        roots=[tmp_path],
        s3_allow=[f"s3://{BUCKET}/{prefix}"],
        s3=access(seaweed),
        hub_allow=["acme/base"],
        hub_endpoint=hub.url,
    )
    with closing(foreign_bucket(seaweed, prefix)) as store:
        store.put("base/config.json", CONFIG)
    for place in (str(tmp_path), f"s3://{BUCKET}/{prefix}/base/", "hf://acme/base@main"):
        with closing(open_files(place, settings, LOCAL)) as files:
            assert files.sizes == {"config.json": len(CONFIG)}
            with files.open("config.json") as stream:
                assert stream.read() == CONFIG


def test_own_store_is_how_buckets_are_reached_unless_told_otherwise(
    seaweed: SeaweedServer,
) -> None:
    """Its endpoint and its keys, and never its bucket."""
    own = StoreSettings(kind="s3", s3=seaweed.settings())
    prefix = uuid4().hex
    settings = AlignmentSettings(s3_allow=[f"s3://{BUCKET}/", f"s3://{seaweed.bucket}/"])
    with closing(foreign_bucket(seaweed, prefix)) as store:
        store.put("config.json", CONFIG)
    with closing(open_files(f"s3://{BUCKET}/{prefix}/", settings, own)) as files:
        assert files.sizes == {"config.json": len(CONFIG)}
    assert code_of(f"s3://{seaweed.bucket}/a/", settings, own) == "source_not_allowed"


@pytest.mark.parametrize("place", ["/etc", "s3://adapters/a/", "hf://acme/base@main"])
def test_nothing_is_opened_by_default(place: str) -> None:
    """A record made under other settings, or by another hand, opens nothing."""
    assert code_of(place, AlignmentSettings()) == "source_not_allowed"


def test_folder_that_became_a_link_is_refused(tmp_path: Path) -> None:
    """What is allowed is where it leads now."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "base").symlink_to(outside)
    settings = AlignmentSettings(roots=[root])
    assert code_of(str(root / "base"), settings) == "source_not_allowed"
    assert isinstance(open_files(str(root), settings, LOCAL), FolderFiles)


def test_hub_without_its_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that lacks it says so, at the build."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for name in [name for name in sys.modules if name.startswith("worker") and "hub" in name]:
        monkeypatch.delitem(sys.modules, name)
    settings = AlignmentSettings(hub_allow=["acme/"])
    assert code_of("hf://acme/base@main", settings) == "hub_not_installed"
