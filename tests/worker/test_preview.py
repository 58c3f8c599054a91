"""What another selection is said to choose is what a run under it chooses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from safetensors.torch import load, save

from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest
from core.policy import Policy
from core.preview import preview
from core.report import Report
from core.store import layout, open_store
from core.store.layout import ADAPTER_MODEL, REPORT_JSON
from core.store.settings import StoreSettings
from tests.worker.service import TENANT, Service, golden_files, make_service

SELECTIONS: list[dict[str, Any]] = [
    {"mode": "threshold", "threshold": 0.0},
    {"mode": "threshold", "threshold": 0.35},
    {"mode": "threshold", "threshold": 0.5, "families": {"q_proj": 0.1, "mlp.up_proj": 1.0}},
    {"mode": "threshold", "families": {"model.layers.1.self_attn.v_proj": 1.0}},
    {"mode": "threshold", "threshold": 1.0},
    {"mode": "relative", "ratio": 1.5, "families": {"v_proj": 0.5}},
    {"mode": "lowest", "count": 3},
    {"mode": "lowest", "share": 0.4},
    {"mode": "all"},
    {"mode": "none"},
]
LARGE = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


@pytest.fixture
def service(redis: Redis, tmp_path: Path) -> Iterator[Service]:
    settings = StoreSettings(path=tmp_path / "store")
    store = open_store(settings)
    yield make_service(store, settings, redis, tmp_path)
    store.close()


def ran(
    service: Service, record: AlignmentRecord, files: Mapping[str, bytes], policy: Policy
) -> Report:
    commit = service.run(record, files, policy).commit
    assert commit is not None
    place = layout.output(TENANT, commit.recipe, commit.output, REPORT_JSON)
    return Report.model_validate_json(service.store.get(place))


def check(
    service: Service, record: AlignmentRecord, files: Mapping[str, bytes], base: dict[str, Any]
) -> None:
    """Foretold from the report of one run, and run, for each selection."""
    place = layout.alignment(record.id or "", MANIFEST_FILE)
    manifest = Manifest.model_validate_json(service.store.get(place))
    known = ran(service, record, files, Policy.model_validate(base))
    for selection in SELECTIONS:
        policy = Policy.model_validate({**base, "selection": selection})
        run, told = ran(service, record, files, policy), preview(known, policy, manifest)
        assert told.verdict == run.verdict, selection
        assert [(c.projected, c.borderline, c.reason) for c in told.choices] == [
            (row.projected, row.borderline, row.reason) for row in run.modules
        ], selection
        assert told.summary.retained == pytest.approx(run.summary.retained, rel=1e-6), selection
        exact = {"retained": told.summary.retained}
        assert told.summary == run.summary.model_copy(update=exact), selection


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"selection": {"mode": "none"}},
        {"reference": True},
        {"method": "complement", "side": "both", "rank": 4, "strength": 0.5},
        {"method": "zero", "strength": 0.0},
    ],
    ids=["default", "scored", "reference", "complement", "no strength"],
)
def test_foretold_is_what_a_run_does(service: Service, base: dict[str, Any]) -> None:
    """Module by module, with verdict and counts; the norm left up to rounding."""
    record = service.register(dtype="float32")
    check(service, record, golden_files(), base)


def test_families_go_by_the_alignments_names(service: Service, record: AlignmentRecord) -> None:
    """Where the upload leaves out the model's prefix, a family that names it is still found."""
    files = golden_files()
    weights = load(files[ADAPTER_MODEL])
    short = {name.replace("model.model.model.", "model.model."): t for name, t in weights.items()}
    assert short.keys() != weights.keys()
    check(service, record, {**files, ADAPTER_MODEL: save(short)}, {})


def test_what_looks_like_an_attack_is_projected_as_in_a_run(
    service: Service, record: AlignmentRecord
) -> None:
    """Where the policy has it so, whatever the cut."""
    files = golden_files()
    weights = load(files[ADAPTER_MODEL])
    usual = ran(service, record, files, Policy()).modules
    row = next(row for row in usual if LARGE.startswith(f"base_model.model.{row.name}."))
    weights[LARGE] *= 0.6 / (row.update_ratio or 1.0)
    large = {**files, ADAPTER_MODEL: save(weights)}
    found = ran(service, record, large, Policy(suspicious="project"))
    assert found.summary.suspicious > 0
    check(service, record, large, {"suspicious": "project"})
