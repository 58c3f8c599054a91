"""A pair of models as alignments of all its linear modules, held in memory."""

from pathlib import Path

import torch

from core.alignments import DEFAULT_RANK
from core.policy import Policy
from worker.adapter import AdapterFiles, LoraModule, examine, load_adapter
from worker.alignment.make import LoadedModule, Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import PairAlignment


class AlignedPair:
    """Modules made on first use and kept. Use within the life of `pair`."""

    def __init__(self, pair: Pair) -> None:
        self._source = PairAlignment(pair, Recipe("float32", DEFAULT_RANK), torch.device("cpu"))
        self._made: dict[str, LoadedModule] = {}

    @property
    def names(self) -> list[str]:
        """All linear modules of the blocks."""
        return [name for name in self._source.shapes if name != "lm_head"]

    def module(self, name: str) -> LoadedModule:
        if name not in self._made:
            self._made[name] = self._source.module(name)
        return self._made[name]

    def adapter(self, folder: Path) -> tuple[LoraModule, ...]:
        """What the worker reads from an adapter's folder. Raises `AdapterRejected`."""
        return load_adapter(examine(AdapterFiles(folder), self._source, Policy(), ())).modules
