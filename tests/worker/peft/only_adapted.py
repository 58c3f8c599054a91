"""Which weights stock PEFT changes when it merges an adapter, next to what its files say."""

import copy
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from tests.worker.peft.serving import read_written

ROUNDING = 1e-12  # of an update's norm: the model is float64, so PEFT multiplies and adds in it


@torch.no_grad()
def unexplained(model: Any, folder: Path) -> set[str]:
    """Parameters and buffers of `model` that merging the adapter in `folder` leaves otherwise than
    the files say.

    A module's weight must gain s·B·A. Everything else must stay bit for bit. Weights that are
    one tensor under two names, as a tied head is, change under both.
    """
    before = copy.deepcopy(model).double()
    merged = PeftModel.from_pretrained(copy.deepcopy(before), folder).merge_and_unload()
    stays, after = _tensors(before), _tensors(merged)
    gains = _gains(before, folder)
    changed = {
        name
        for name in stays.keys() & after.keys()
        if not _as_expected(stays[name], after[name], gains.get(id(stays[name])))
    }
    return changed | (stays.keys() ^ after.keys())


def reaches(model: Any, folder: Path) -> bool:
    """True if every module that the files name is one of `model`."""
    return all(_has(model, path) for path in read_written(folder))


def _has(model: Any, path: str) -> bool:
    return path in dict(model.named_modules())


def _tensors(model: Any) -> dict[str, Tensor]:
    """Every parameter and buffer, saved or not, under all of its names."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def _gains(model: Any, folder: Path) -> dict[int, Tensor]:
    """By identity of the weight, what it gains in its own orientation."""
    gains = {}
    for path, factors in read_written(folder).items():
        if _has(model, path):
            module = model.get_submodule(path)
            delta = factors.delta
            gains[id(module.weight)] = delta.T if isinstance(module, Conv1D) else delta
    return gains


def _as_expected(before: Tensor, after: Tensor, gain: Tensor | None) -> bool:
    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if gain is None:
        return torch.equal(before, after)
    # adding may round in the last place of the weight as well as of the update
    allowed = ROUNDING * float(gain.norm()) + torch.finfo(before.dtype).eps * float(before.norm())
    return float((after - before - gain).norm()) <= allowed
