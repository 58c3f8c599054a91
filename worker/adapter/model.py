"""An adapter that the gate let in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from core.findings import Finding
from core.report import FileFacts
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, INPUT_FILES, MLX_MODEL
from worker.projection.update import Update


@dataclass(frozen=True)
class AdapterFiles:
    """The upload on disk: the adapter's files in `folder`, and what else came along by name."""

    folder: Path
    other_names: tuple[str, ...] = ()

    @property
    def model(self) -> Path:
        """The weights; under the name that MLX gives them if there are none under PEFT's."""
        mlx = self.folder / MLX_MODEL
        return mlx if mlx.is_file() and not self._peft.is_file() else self._peft

    @property
    def config(self) -> Path:
        return self.folder / ADAPTER_CONFIG

    @property
    def present(self) -> list[Path]:
        """Those of the adapter's files that are there."""
        return [path for name in INPUT_FILES if (path := self.folder / name).is_file()]

    @property
    def _peft(self) -> Path:
        return self.folder / ADAPTER_MODEL


@dataclass(frozen=True)
class AdapterConfig:
    """What of the config matters: the update's scale, and two names that are only compared.

    `mlx`: the tensors have the names and the orientation that MLX gives them.
    """

    rank: int
    alpha: float
    use_rslora: bool
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    task_type: str | None
    base_name: str | None
    mlx: bool = False

    def scaling(self, rank: int, alpha: float) -> float:
        """alpha / r, or alpha / √r with rank stabilisation (arXiv 2312.03732)."""
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank


@dataclass(frozen=True)
class LoraModule:
    """One adapted module: serving adds `scaling · b @ a` to its weight.

    `path` is its name in the model (as in the adapter, without `base_model.model.`),
    `alignment_name` the same module's name in the alignment. `unpatterned_scaling`
    is that of a reader which, as vLLM does, ignores rank_pattern and alpha_pattern.
    """

    path: str
    alignment_name: str
    alpha: float
    scaling: float
    a: Tensor  # (r, in), as uploaded
    b: Tensor  # (out, r), as uploaded
    unpatterned_scaling: float = 0.0

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])

    @property
    def served_scaling(self) -> float:
        """The largest that any known reader would use."""
        return max(self.scaling, self.unpatterned_scaling)

    @property
    def family(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def layer(self) -> int | None:
        """The first number in the path: the block's index."""
        return next((int(part) for part in self.path.split(".") if part.isdigit()), None)

    @property
    def update(self) -> Update:
        """B·A in float32, unscaled."""
        return Update(self.b.float(), self.a.float())


@dataclass(frozen=True)
class Adapter:
    """All modules in path order, and what its config says that the output needs."""

    modules: tuple[LoraModule, ...]
    use_rslora: bool
    task_type: str | None
    base_name: str | None
    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]


def common_rank_and_alpha(modules: Sequence[LoraModule]) -> tuple[int, float]:
    """The rank and the alpha that most modules have: the config's `r` and `lora_alpha`."""
    rank = Counter(m.rank for m in modules).most_common(1)[0][0]
    alpha = Counter(m.alpha for m in modules).most_common(1)[0][0]
    return rank, alpha
