"""No `out × out` matrix is ever formed, by any method."""

from typing import Any

import pytest
import torch

from benchmarks.figures.operations import counted
from core.policy import Policy
from tests.worker.making import exactly
from worker.adapter.model import LoraModule
from worker.alignment.make import Recipe, make_module
from worker.alignment.pair import ModuleShape
from worker.judge import project_module, score_module

OUT, IN, RANK = 600, 80, 4


@pytest.mark.parametrize(
    "method",
    [
        {"method": "safe_lora"},
        {"method": "zero", "strength": 0.5},
        {"method": "subspace", "rank": 8},
        {"method": "complement", "side": "input", "rank": 8},
        {"method": "complement", "side": "output", "rank": 8},
        {"method": "complement", "side": "both", "rank": 8, "strength": 0.5},
    ],
    ids=lambda m: "-".join(str(v) for v in m.values()),
)
def test_nothing_as_large_as_c_is_made(method: dict[str, Any]) -> None:
    """From the difference to the projected update no tensor has out × out elements."""
    random = torch.Generator().manual_seed(0)
    difference = exactly(torch.randn(OUT, IN, generator=random))
    a = torch.randn(RANK, IN, generator=random)
    b = torch.randn(OUT, RANK, generator=random)
    module = LoraModule("m", "m", alpha=1.0, scaling=1.0, a=a, b=b)
    policy = Policy.model_validate(method)
    with counted() as operations:
        loaded = make_module("m", ModuleShape(OUT, IN, False), difference, Recipe("auto", 16))
        project_module(score_module(module, loaded, policy), loaded, policy)
    assert OUT * IN <= operations.largest < OUT * OUT
