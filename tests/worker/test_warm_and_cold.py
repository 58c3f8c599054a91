"""Whole jobs over the tiers: what is fetched, what is said of it, and that no bit depends on it."""

import json
import logging
from pathlib import Path

import pytest
import torch
from redis import Redis
from safetensors.torch import load_file

from core.alignments import MANIFEST_FILE, Manifest
from core.policy import Policy
from core.report import Report
from core.settings import AlignmentSettings, Settings
from core.sources import S3Sources
from core.store.local import LocalStore
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer
from tests.worker.alignment.tiers.making import CountingStore, build, published
from tests.worker.making import GOLDEN, save_adapter
from tests.worker.service import make_service
from tests.worker.test_golden import CASES, assert_equal_to_the_authors, policy_of
from worker.adapter import AdapterFiles
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker
from worker.workshop import Workshop

AUTHORS = [policy_of(case, reference=True) for case in CASES]
POLICIES = [
    *AUTHORS,
    Policy(),
    Policy.model_validate({"method": "subspace", "rank": 4, "selection": {"mode": "all"}}),
]
AGAIN = len(POLICIES) - 1  # jobs after the first one


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("golden") / "alignment"
    return build(GOLDEN / "base", GOLDEN / "aligned", folder, dtype="float32")


@pytest.fixture
def store(tmp_path: Path, golden: tuple[Path, Manifest]) -> CountingStore:
    store = CountingStore(tmp_path / "store")
    published(golden, store)
    return store


def workshop(store: LocalStore, cache: Path, redis_url: str | None = None) -> Workshop:
    settings = Settings(
        alignments=AlignmentSettings.model_validate({"cache": cache, "redis_url": redis_url})
    )
    return Workshop(
        settings=settings, store=store, sources=S3Sources(settings), device=torch.device("cpu")
    )


def outputs(workshop: Workshop, manifest: Manifest, adapter: Path, folder: Path) -> list[bytes]:
    """Report and files of one job under each policy."""
    made = []
    for number, policy in enumerate(POLICIES):
        output = folder / str(number)
        output.mkdir(parents=True)
        with workshop.alignment(manifest.id, "golden") as alignment:
            report = sanitize(
                AdapterFiles(adapter),
                alignment,
                policy,
                output,
                base_names=BaseNames(),
                tracker=Tracker(),
            )
        made += [report.as_bytes(), *(path.read_bytes() for path in sorted(output.iterdir()))]
    return made


def test_no_bit_depends_on_the_tier_that_served(
    store: CountingStore,
    golden: tuple[Path, Manifest],
    valkey: ValkeyServer,
    tmp_path: Path,
) -> None:
    """Golden adapter, every module: report and files from store, Redis, disk and RAM are equal, and
    those of reference runs are what the authors' code makes."""
    manifest, adapter = golden[1], GOLDEN / "adapter"
    url = valkey.url.removesuffix("/0") + "/2"
    with Redis.from_url(url) as client:
        client.flushdb()
    cold = workshop(store, tmp_path / "one", url)
    from_store = outputs(cold, manifest, adapter, tmp_path / "from-store")
    assert cold.counts.modules == {"store": 77, "ram": AGAIN * 77}
    for number, case in enumerate(CASES):
        report = Report.model_validate_json(from_store[3 * number])
        assert_equal_to_the_authors(report, tmp_path / "from-store" / str(number), case)
    beside = workshop(store, tmp_path / "two", url)
    assert outputs(beside, manifest, adapter, tmp_path / "from-redis") == from_store
    assert beside.counts.modules == {"redis": 77, "ram": AGAIN * 77}
    again = workshop(store, tmp_path / "two")
    assert outputs(again, manifest, adapter, tmp_path / "from-disk") == from_store
    assert again.counts.modules == {"disk": 77, "ram": AGAIN * 77}
    assert outputs(again, manifest, adapter, tmp_path / "from-ram") == from_store
    assert again.counts.modules == {"disk": 77, "ram": (2 * AGAIN + 1) * 77}


def test_a_cold_worker_fetches_the_modules_of_the_adapter_only(
    store: CountingStore, golden: tuple[Path, Manifest], tmp_path: Path
) -> None:
    """For a q/v adapter the manifest and the shards of q and v, each once, and no other byte."""
    wanted = ("q_proj", "v_proj")
    tensors = load_file(GOLDEN / "adapter" / "adapter_model.safetensors")
    config = json.loads((GOLDEN / "adapter" / "adapter_config.json").read_text())
    adapter = save_adapter(
        tmp_path / "adapter",
        {n: t for n, t in tensors.items() if n.split(".")[-3] in wanted},
        **{**config, "target_modules": list(wanted)},
    )
    outputs(workshop(store, tmp_path / "cache"), golden[1], adapter, tmp_path / "made")
    touched = [m for m in golden[1].modules if m.name.endswith(wanted)]
    shards = {name for m in touched for name in (m.shard, m.spectrum_shard)}
    assert len(touched) == 22
    assert store.gets == dict.fromkeys({MANIFEST_FILE, *shards}, 1)


def test_a_job_logs_which_tiers_served_it(
    valkey: ValkeyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line a job: from disk where the build left its files, from RAM the second time."""
    kind = StoreSettings(path=tmp_path / "store")
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        service = make_service(LocalStore(tmp_path / "store"), kind, client, tmp_path)
        record = service.register()
        with caplog.at_level(logging.INFO, logger="worker.workshop"):
            service.run(record)
            service.run(record, policy=Policy.model_validate({"strength": 0.5}))
    said = [r.getMessage() for r in caplog.records if r.name == "worker.workshop"]
    assert said == [
        f"alignment {record.id}: 77 modules from ram 0, disk 77, redis 0, store 0",
        f"alignment {record.id}: 77 modules from ram 77, disk 0, redis 0, store 0",
    ]


def test_the_disk_is_kept_within_its_bound_from_job_to_job(
    store: CountingStore, golden: tuple[Path, Manifest], tmp_path: Path
) -> None:
    """A build may leave more than `disk_bytes` behind: the next job's start drops what is over."""
    cache = tmp_path / "cache"
    left = cache / ("0" * 40) / f"{'0' * 64}.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    settings = Settings(alignments=AlignmentSettings(cache=cache, disk_bytes=999))
    shop = Workshop(
        settings=settings, store=store, sources=S3Sources(settings), device=torch.device("cpu")
    )
    with shop.alignment(golden[1].id, "golden"):
        assert not left.exists()
