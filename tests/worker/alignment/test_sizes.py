"""The page of sizes: models as published, and a page that is up to date."""

import math
from pathlib import Path

import pytest

from benchmarks.sizes.__main__ import page
from benchmarks.sizes.headers import write_headers
from benchmarks.sizes.models import MODELS, Model
from worker.alignment.checkpoint import Checkpoint

PARAMETERS = {  # as each model's card or index has it
    "Llama-2-7B": 6_738_415_616,
    "Llama-3-8B": 8_030_261_248,
    "Llama-3-70B": 70_553_706_496,
    "Mixtral-8x7B": 46_702_792_704,
    "Llama-3.1-405B": 405_853_388_800,
}


def test_models_have_as_many_parameters_as_published() -> None:
    """So their shapes are the published ones."""
    counted = {m.name: sum(math.prod(shape) for _, shape in m.weights()) for m in MODELS}
    assert counted == PARAMETERS


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_hollow_checkpoint_is_one_that_is_read(tmp_path: Path, model: Model) -> None:
    """Every tensor in its shape, in files of the real size that take next to no room."""
    shards = write_headers(tmp_path, model)
    with Checkpoint(tmp_path) as checkpoint:
        found = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    assert found == dict(model.weights())
    files = [path.stat() for path in tmp_path.glob("*.safetensors")]
    assert len(files) == shards
    assert sum(f.st_size for f in files) > 2 * PARAMETERS[model.name]
    assert sum(f.st_blocks for f in files) * 512 < 10**7


def test_page_is_what_is_planned_today() -> None:
    """Else: python -m benchmarks.sizes > docs/sizes.md"""
    root = Path(__file__).parents[3]
    assert (root / "docs" / "sizes.md").read_text() == page()
