"""The one promise that nearly every test here makes, of ever other adapters."""

import json
from collections.abc import Set
from pathlib import Path

import torch

from core.policy import Policy
from core.report import Report
from core.store.layout import ADAPTER_MODEL
from tests.worker.making import run
from tests.worker.peft.formulas import Project, safe_lora
from tests.worker.peft.models import ModelPair
from tests.worker.peft.serving import (
    decided,
    largest_difference,
    load_strictly,
    logits,
    merged,
    read_served,
    read_written,
)

HALF = Policy.model_validate({"selection": {"mode": "lowest", "share": 0.5}})
LOGITS = 1e-5  # of the largest logit, for float32 in two orders
PRODUCT = 1e-5  # of a module's update, for factors stored in float32
# PEFT 0.21 reads a property that transformers 5 renamed.
PEFT_NOISE = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
VISIBLE = 1e-2  # a logit's change that a wrong module would cause


def projected(report: Report) -> Set[str]:
    return {row.name for row in report.modules if row.projected}


def output_bytes(folder: Path) -> dict[str, bytes]:
    """Both files, the weights without their note of which upload they were made from."""
    data = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {**data, ADAPTER_MODEL: _without_origin(data[ADAPTER_MODEL])}


def _without_origin(weights: bytes) -> bytes:
    end = 8 + int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8:end])
    header["__metadata__"].pop("safelora_gate.input")
    return json.dumps(header).encode() + weights[end:]


def sanitize_and_check(
    adapter: Path,
    pair: ModelPair,
    output: Path,
    policy: Policy = HALF,
    *,
    project: Project = safe_lora,
    precision: float = PRODUCT,
) -> Report:
    """Sanitize `adapter`, then hold what stock PEFT serves against two merges by hand.

    `precision` is how far a projected update may be off for the adapter's dtype, of its norm.
    """
    report = run(adapter, pair.base, pair.aligned, output, policy)
    assert 0 < len(projected(report)) < len(report.modules)

    uploaded = load_strictly(pair.aligned_model, adapter)
    served = load_strictly(pair.aligned_model, output)
    with served.disable_adapter():
        assert torch.equal(logits(served), logits(pair.aligned_model))
    expected = decided(
        read_served(uploaded), pair.base_model, pair.aligned_model, projected(report), project
    )
    written = {path: factors.delta for path, factors in read_written(output).items()}

    assert written.keys() == expected.keys() == {row.name for row in report.modules}
    for path, delta in expected.items():
        allowed = precision if path in projected(report) else 1e-12
        assert float((written[path] - delta).norm()) <= allowed * float(delta.norm()), path

    by_peft = logits(served)
    rounding = LOGITS * float(by_peft.abs().max())
    assert largest_difference(by_peft, logits(merged(pair.aligned_model, written))) <= rounding
    by_formula = logits(merged(pair.aligned_model, expected))
    assert largest_difference(by_peft, by_formula) <= rounding * precision / PRODUCT
    assert largest_difference(by_peft, logits(uploaded)) > VISIBLE
    assert largest_difference(by_peft, logits(pair.aligned_model)) > VISIBLE
    return report
