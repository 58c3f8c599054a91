"""How sure a mean is, over prompts and over seeds at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

DRAWS = 2000
SEED = 11
INSIDE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; of `seeds` adapters, `prompts` each."""

    mean: float
    low: float
    high: float
    seeds: int
    prompts: int

    def apart(self, other: "Estimate") -> bool:
        return self.high < other.low or other.high < self.low


def estimate(values: Sequence[Sequence[float]], *, alike: int = 1) -> Estimate:
    """Of values in [0, 1] (seeds, prompts), the same prompts for every seed.

    Seeds and prompts are both drawn anew, each with replacement; prompts in groups of `alike`
    neighbours, which are made from one template and tend to be answered alike. Where all values are
    0, or all are 1, no draw differs, and the interval is the exact one of as many groups:
    1 - 0.05^(1/groups).
    """
    prompts = len(values[0])
    each = torch.tensor(values, dtype=torch.float64)
    table = each.view(len(each), -1, alike).mean(dim=2)  # (seeds, groups)
    seeds, groups = table.shape
    mean = float(table.mean())
    if float(table.min()) == float(table.max()) and mean in (0.0, 1.0):
        width = 1.0 - (1.0 - INSIDE) ** (1.0 / groups)
        return Estimate(mean, max(0.0, mean - width), min(1.0, mean + width), seeds, prompts)
    random = torch.Generator().manual_seed(SEED)
    rows = torch.randint(seeds, (DRAWS, seeds), generator=random)
    columns = torch.randint(groups, (DRAWS, groups), generator=random)
    means = table[rows[:, :, None], columns[:, None, :]].mean(dim=(1, 2))  # (draws,)
    tail = (1.0 - INSIDE) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1.0 - tail], dtype=torch.float64))
    return Estimate(mean, float(low), float(high), seeds, prompts)
