"""Write a clean adapter: canonical names, a minimal config, dtypes that hold the update."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.canonical import Json, pretty_json
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from worker.adapter.keys import canonical_key
from worker.adapter.model import Adapter, LoraModule, common_rank_and_alpha
from worker.alignment.source import AlignmentSource
from worker.projection.update import Update, compress, factor_norms, is_near
from worker.safetensors_file import write_safetensors

CAST_LOSS_LIMIT = 0.01  # of the product's norm, above which float32 is written


@dataclass(frozen=True)
class Written:
    """One module as it goes out. `wanted` is the update before any cast, `widened` if it is
    stored in float32 because the input's dtype would have lost too much of it."""

    module: LoraModule
    a: Tensor
    b: Tensor
    wanted: Update
    widened: bool


def as_uploaded(module: LoraModule) -> Written:
    """The module's own tensors, bit for bit."""
    wanted = Update(module.b, module.a)
    return Written(module, module.a, module.b, wanted, widened=False)


def cast_for_output(module: LoraModule, update: Update, norm: float) -> Written:
    """`update` in the upload's dtypes, or in float32 where that loses over 1 % of `norm`."""
    wanted = update.to(torch.device("cpu"))
    b, a = wanted.b.to(module.b.dtype), wanted.a.to(module.a.dtype)
    limit = CAST_LOSS_LIMIT * norm
    # What is near to finite factors is finite.
    if is_near(Update(b, a), wanted, limit) and math.isfinite(factor_norms(wanted)):
        return Written(module, a, b, wanted, widened=False)
    if not is_near(Update(wanted.b.float(), wanted.a.float()), wanted, limit):
        wanted = compress(wanted, wanted.rank)  # too small for float32 unless the factors share it
    wide_b, wide_a = wanted.b.float(), wanted.a.float()
    widened = (a.dtype, b.dtype) != (wide_a.dtype, wide_b.dtype)
    return Written(module, wide_a, wide_b, wanted, widened=widened)


def write_adapter(
    folder: Path,
    adapter: Adapter,
    written: Sequence[Written],
    alignment: AlignmentSource,
    *,
    base_name: str | None,
    provenance: Mapping[str, str],
) -> None:
    """Both canonical files into `folder`: what stock PEFT and vLLM load.

    `provenance` goes into the weights' metadata. Whether the weights are Conv1D, and which other
    modules a family name would reach, is the alignment's word, never the upload's.
    """
    tensors = {
        canonical_key(w.module.path, factor): tensor
        for w in written
        for factor, tensor in (("a", w.a), ("b", w.b))
    }
    write_safetensors(folder / ADAPTER_MODEL, tensors, {"format": "pt", **provenance})
    conv1d = any(alignment.shapes[m.alignment_name].conv1d for m in adapter.modules)
    known_modules = alignment.shapes.keys() | alignment.left_out.keys()
    config = _config(adapter, base_name=base_name, conv1d=conv1d, known_modules=known_modules)
    (folder / ADAPTER_CONFIG).write_bytes(pretty_json(config))


def _config(
    adapter: Adapter, *, base_name: str | None, conv1d: bool, known_modules: Collection[str]
) -> Mapping[str, Json]:
    rank, alpha = common_rank_and_alpha(adapter.modules)
    return {
        "peft_type": "LORA",
        "task_type": adapter.task_type,
        "base_model_name_or_path": base_name,
        "r": rank,
        "lora_alpha": _whole(alpha),
        "use_rslora": adapter.use_rslora,
        "rank_pattern": {m.path: m.rank for m in adapter.modules if m.rank != rank},
        "alpha_pattern": {m.path: _whole(m.alpha) for m in adapter.modules if m.alpha != alpha},
        "target_modules": _target_modules(adapter.modules, known_modules),
        "fan_in_fan_out": conv1d,
        "bias": "none",
        "init_lora_weights": True,
        "inference_mode": True,
        "lora_dropout": 0.0,
        "modules_to_save": None,
    }


def _target_modules(modules: Sequence[LoraModule], known_modules: Collection[str]) -> list[str]:
    """The families, if they name exactly the modules found; else each module's full path."""
    families = {m.family for m in modules}
    meant = {name for name in known_modules if name.rpartition(".")[2] in families}
    if meant == {m.alignment_name for m in modules}:
        return sorted(families)
    return [m.path for m in modules]


def _whole(value: float) -> int | float:
    """8 rather than 8.0, as PEFT writes it."""
    return int(value) if value.is_integer() else value
