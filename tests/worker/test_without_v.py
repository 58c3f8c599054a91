"""Whole jobs that load no V: what is fetched, what is delivered, what is said of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from redis import Redis
from rich.console import Console
from safetensors.torch import load, save

from core.alignments import MANIFEST_FILE, Manifest
from core.errors import AdapterRejected
from core.policy import Policy
from core.render.html import render_html
from core.render.terminal import print_table
from core.report import Report
from core.settings import AlignmentSettings, Settings
from core.sources import S3Sources
from tests.servers import ValkeyServer
from tests.worker.alignment.tiers.making import CountingStore, published
from tests.worker.making import GOLDEN, run
from worker.adapter import AdapterFiles
from worker.alignment.build import build_alignment
from worker.alignment.pair import Pair
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker
from worker.workshop import Workshop

MODULES = 77
MISSING = ("cosine", "signed", "undo")
METHODS: dict[str, dict[str, Any]] = {
    "input": {"method": "complement", "rank": 4, "side": "input"},
    "output": {"method": "complement", "energy_share": 0.3, "side": "output"},
    "both": {"method": "complement", "rank": 4, "side": "both", "strength": 0.5},
    "subspace": {"method": "subspace", "rank": 8},
    "zero": {"method": "zero", "strength": 0.5},
}


def policy(method: str = "input", **fields: Any) -> Policy:
    chosen = {"selection": {"mode": "all"}, "scores": "spectrum", **METHODS[method], **fields}
    return Policy.model_validate(chosen)


@dataclass(frozen=True)
class Made:
    """A job's report and the files that it wrote."""

    report: Report
    files: dict[str, bytes]

    @property
    def weights(self) -> bytes:
        """The tensors alone: the metadata beside them names the policy."""
        return save(load(self.files["adapter_model.safetensors"]))

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row.model_dump() for row in self.report.modules]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """V in float32 and as many directions as the offline command takes of a pair."""
    folder = tmp_path_factory.mktemp("golden") / "alignment"
    folder.mkdir()
    with Pair(GOLDEN / "base", GOLDEN / "aligned") as pair:
        manifest = build_alignment(pair, folder, dtype="float32", rank=64, step=lambda *_: None)
    return folder, manifest


@pytest.fixture
def store(tmp_path: Path, golden: tuple[Path, Manifest]) -> CountingStore:
    store = CountingStore(tmp_path / "store")
    published(golden, store)
    return store


@pytest.fixture
def desk(
    store: CountingStore, golden: tuple[Path, Manifest], valkey: ValkeyServer, tmp_path: Path
) -> Iterator["Desk"]:
    url = valkey.url.removesuffix("/0") + "/3"
    with Redis.from_url(url) as client:
        client.flushdb()
    yield Desk(store, golden[1], url, tmp_path)


@dataclass(frozen=True)
class Desk:
    """A store and a cache Redis with the golden alignment, for workers with a disk of their own."""

    store: CountingStore
    manifest: Manifest
    redis_url: str
    folder: Path

    def worker(self, disk: str) -> Workshop:
        cache = {"cache": self.folder / disk, "redis_url": self.redis_url}
        settings = Settings(alignments=AlignmentSettings.model_validate(cache))
        return Workshop(
            settings=settings,
            store=self.store,
            sources=S3Sources(settings),
            device=torch.device("cpu"),
        )

    def job(self, worker: Workshop, asked: Policy) -> Made:
        output = self.folder / f"output-{len(list(self.folder.iterdir()))}"
        output.mkdir()
        with worker.alignment(self.manifest.id, "golden") as alignment:
            report = sanitize(
                AdapterFiles(GOLDEN / "adapter"),
                alignment,
                asked,
                output,
                base_names=BaseNames(),
                tracker=Tracker(),
            )
        return Made(report, {path.name: path.read_bytes() for path in output.iterdir()})


def test_a_cold_worker_fetches_no_byte_of_v(desk: Desk) -> None:
    """The manifest and each spectrum once; a job that scores all then fetches V and no more."""
    worker = desk.worker("disk")
    adapted = {row.name for row in desk.job(worker, policy()).report.modules}
    touched = [m for m in desk.manifest.modules if m.name in adapted]
    spectra = {m.spectrum_shard for m in touched}
    assert desk.store.gets == dict.fromkeys({MANIFEST_FILE, *spectra}, 1)
    assert worker.counts.modules == {"store": MODULES}
    desk.store.gets.clear()
    desk.job(worker, policy(scores="all"))
    assert desk.store.gets == dict.fromkeys({m.shard for m in touched}, 1)


def test_no_bit_depends_on_what_was_warm(desk: Desk) -> None:
    """Report and files are equal from store, Redis, disk and RAM, and with V itself in RAM."""
    worker = desk.worker("one")
    from_store = desk.job(worker, policy())
    assert worker.counts.modules == {"store": MODULES}
    desk.job(worker, Policy())
    with_v_in_ram = desk.job(worker, policy())
    assert worker.counts.modules == {"store": 2 * MODULES, "ram": MODULES}
    beside = desk.worker("two")
    from_redis = desk.job(beside, policy())
    assert beside.counts.modules == {"redis": MODULES}
    again = desk.worker("two")
    from_disk, from_ram = desk.job(again, policy()), desk.job(again, policy())
    assert again.counts.modules == {"disk": MODULES, "ram": MODULES}
    assert from_store == with_v_in_ram == from_redis == from_disk == from_ram


@pytest.mark.parametrize("method", METHODS)
def test_delivered_adapter_is_that_of_all_scores(method: str, desk: Desk) -> None:
    """Config and tensors bit for bit, and every row but for the three scores that need V."""
    worker = desk.worker("disk")
    lean, whole = (desk.job(worker, policy(method, scores=s)) for s in ("spectrum", "all"))
    assert lean.files["adapter_config.json"] == whole.files["adapter_config.json"]
    assert lean.weights == whole.weights
    assert [row | dict.fromkeys(MISSING) for row in whole.rows] == lean.rows
    assert all(row["cosine"] is not None for row in whole.rows)
    assert all(row["energy"] is not None and row["projected"] for row in lean.rows)


@pytest.mark.parametrize("asked", [policy("input"), policy("both", selection={"mode": "none"})])
def test_a_pair_gives_what_its_stored_alignment_gives(
    asked: Policy, desk: Desk, tmp_path: Path
) -> None:
    """Offline V is made and let go of: rows and summary are those of the service."""
    stored = desk.job(desk.worker("disk"), asked).report
    parts = (GOLDEN / "adapter", GOLDEN / "base", GOLDEN / "aligned")
    offline = run(*parts, tmp_path / "offline", asked)
    assert offline.modules == stored.modules
    assert (offline.summary, offline.verdict) == (stored.summary, stored.verdict)
    assert offline.findings == stored.findings


def test_report_says_once_that_v_was_not_loaded(desk: Desk) -> None:
    """One note names the scores that are missing; JSON has null, page and table a dash."""
    report = desk.job(desk.worker("disk"), policy()).report
    [note] = [f for f in report.findings if f.code == "scored_without_v"]
    assert (note.outcome, note.subject) == ("noted", "policy.scores")
    assert all(name in note.why for name in MISSING)
    rows = json.loads(report.as_bytes())["modules"]
    assert all(row[name] is None for row in rows for name in MISSING)
    assert (report.summary.cosine_median, report.summary.zero_updates) == (None, 0)
    page = render_html(report).decode()
    rows_shown = page.partition('<table class="modules">')[2]
    assert rows_shown.count("<td>–</td>") == len(MISSING) * MODULES
    assert page.count("scored_without_v") == 1
    table = StringIO()
    print_table(report, Console(width=160, file=table))
    assert table.getvalue().count("scored_without_v") == 1


def test_a_policy_with_all_scores_has_no_such_note(desk: Desk) -> None:
    """Nothing is said where nothing is missing."""
    report = desk.job(desk.worker("disk"), policy(scores="all")).report
    assert "scored_without_v" not in {f.code for f in report.findings}


def test_the_cap_on_size_needs_no_v(desk: Desk) -> None:
    """What is too large next to the weight is refused from the norms in the manifest."""
    largest = max(row["update_ratio"] for row in desk.job(desk.worker("disk"), policy()).rows)
    with pytest.raises(AdapterRejected) as rejected:
        desk.job(desk.worker("disk"), policy(caps={"update_ratio": 0.99 * largest}))
    refused = [f.code for f in rejected.value.findings if f.outcome == "refused"]
    assert refused == ["update_ratio_over_cap"]
