"""Every method a policy can name is served as its dense formula says."""

from pathlib import Path
from typing import Any

import pytest

from core.policy import Policy
from tests.worker.peft.architectures import GPT2, QWEN2, Architecture, default_targets
from tests.worker.peft.checks import HALF, PEFT_NOISE, sanitize_and_check
from tests.worker.peft.formulas import Project, blended, complement, safe_lora, subspace, zero
from tests.worker.peft.models import make_pair, train

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)

K = 6
METHODS: dict[str, tuple[dict[str, Any], Project]] = {
    "safe_lora": ({"method": "safe_lora"}, safe_lora),
    "zero": ({"method": "zero"}, zero),
    "subspace": ({"method": "subspace", "rank": K}, subspace(K)),
    **{
        f"complement-{side}": (
            {"method": "complement", "side": side, "rank": K},
            complement(side, K),
        )
        for side in ("input", "output", "both")
    },
}


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", [QWEN2, GPT2], ids=lambda a: a.name)
def test_method_is_served_as_its_formula(
    architecture: Architecture, method: str, strength: float, tmp_path: Path
) -> None:
    """Whatever a method does to A, B or both, PEFT loads it and serves the product decided on."""
    fields, project = METHODS[method]
    policy = Policy.model_validate(
        {**fields, "strength": strength, "selection": HALF.selection.model_dump()}
    )
    pair = make_pair(tmp_path, architecture)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **default_targets(architecture))
    sanitize_and_check(adapter, pair, tmp_path / "out", policy, project=blended(project, strength))
