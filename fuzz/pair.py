"""The registered pair that uploads and names are judged by."""

from pathlib import Path

import torch

from tests.hostile.making import IN, MODULES, NO_MODULES, OUT
from tests.worker.making import generator, save_checkpoint

EXPERTS = tuple(f"model.layers.{i}.mlp.experts.{j}.up_proj" for i in range(20) for j in range(100))


def make_pair(folder: Path) -> Path:
    """The modules that the attacks of the tests are about, and as many experts as a large mixture
    has, of one weight each. In `base` and `aligned`."""
    random = generator(7)
    shapes = dict.fromkeys((*MODULES, *NO_MODULES), (OUT, IN)) | dict.fromkeys(EXPERTS, (1, 1))
    for name in ("base", "aligned"):
        weights = {f"{k}.weight": torch.randn(v, generator=random) for k, v in shapes.items()}
        save_checkpoint(folder / name, weights)
    return folder
