"""Alignments and adapters with the shapes of real models, made up: speed asks for no more."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.sizes.models import MODELS
from core.alignments import DEFAULT_RANK, MANIFEST_FILE, Dtype, Manifest, ModuleEntry, alignment_id
from worker.alignment.make import LoadedModule, module_tensors
from worker.alignment.naming import digest_of, shard_name
from worker.alignment.shards import write_shards
from worker.projection.norms import frobenius
from worker.safetensors_file import TORCH_DTYPES, safetensors_parts, write_safetensors

CHANGE = 0.0006  # std of what alignment did to a weight, as benchmarks.align has it
WEIGHT = 0.02  # std of a weight
LARGEST = 14336 * 4096  # elements of the largest module
SHIFT = 977  # modules begin that many elements apart in one pool of numbers, so that all differ

Shape = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """An adapter of `rank` for these modules of the first `layers` of a model, whose V is stored in
    `dtype`; its own factors are in `adapter`."""

    model: str
    modules: tuple[str, ...]
    rank: int
    dtype: Dtype
    layers: int
    adapter: Dtype = "BF16"

    @property
    def title(self) -> str:
        return f"{self.alignment}, adapter in {self.adapter}"

    @property
    def alignment(self) -> str:
        kind = "all linear" if len(self.modules) > 2 else "q, v"
        whole = next(m.layers for m in MODELS if m.name == self.model)
        part = "" if self.layers == whole else f", {self.layers} of {whole} layers"
        return f"{self.model}, {kind}, r = {self.rank}, {self.dtype}{part}"

    @property
    def shapes(self) -> dict[str, Shape]:
        """(out, in) of each module by its name."""
        model = next(m for m in MODELS if m.name == self.model)
        return {
            name.removesuffix(".weight"): (shape[0], shape[1])
            for name, shape in model.weights()
            if name.removesuffix(".weight").endswith(self.modules)
            and int(name.split(".")[2]) < self.layers
        }


def make_alignment(cache: Path, case: Case) -> Manifest:
    """Its files in a folder of `cache` under its own id, made unless they are there."""
    known = cache / f"{case.alignment}.json"
    if known.exists():
        return Manifest.model_validate_json(known.read_bytes())
    making = cache / ".making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    entries = list(_entries(making, case))
    manifest = Manifest(
        id=alignment_id(entries, DEFAULT_RANK, {}),
        model_type="llama",
        rank=DEFAULT_RANK,
        modules=entries,
        left_out={},
        weights={},
    )
    (making / MANIFEST_FILE).write_bytes(manifest.as_bytes())
    making.replace(cache / manifest.id)
    known.write_bytes(manifest.as_bytes())
    return manifest


def make_adapter(folder: Path, case: Case, *, seed: int = 1) -> Path:
    """As PEFT saves one."""
    random = torch.Generator().manual_seed(seed)
    dtype = TORCH_DTYPES[case.adapter]
    tensors: dict[str, Tensor] = {}
    for path, (out, in_) in case.shapes.items():
        prefix = f"base_model.model.{path}"
        a = torch.randn(case.rank, in_, generator=random).mul_(in_**-0.5)
        b = torch.randn(out, case.rank, generator=random).mul_(0.01)
        tensors |= {f"{prefix}.lora_A.weight": a.to(dtype), f"{prefix}.lora_B.weight": b.to(dtype)}
    folder.mkdir()
    write_safetensors(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    config = {"peft_type": "LORA", "r": case.rank, "lora_alpha": 2 * case.rank}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _entries(folder: Path, case: Case) -> Iterator[ModuleEntry]:
    random = torch.Generator().manual_seed(0)
    spare = SHIFT * len(case.shapes)
    pool = torch.randn(LARGEST + spare, generator=random).mul_(CHANGE).to(TORCH_DTYPES[case.dtype])
    directions = {size: _orthonormal(size, random) for size in _sizes(case)}
    for number, (name, (out, in_)) in enumerate(case.shapes.items()):
        start = SHIFT * number
        v = pool[start : start + out * in_].view(out, in_)
        entry = _entry(name, v, case.dtype)
        u, z = directions[out].roll(number, 0), directions[in_].roll(-number - 1, 0)
        yield write_shards(LoadedModule(entry, module_tensors(entry, v, u, z)), folder)


def _entry(name: str, v: Tensor, dtype: Dtype) -> ModuleEntry:
    """True in what is measured of V, plausible in what takes a decomposition to know."""
    out, in_ = v.shape
    largest = CHANGE * (out**0.5 + in_**0.5)
    return ModuleEntry.model_validate(
        {
            "name": name,
            "out": out,
            "in": in_,
            "dtype": dtype,
            "norm": frobenius(v),
            "aligned_norm": WEIGHT * (out * in_) ** 0.5,
            "sigma": torch.linspace(largest, 0.9 * largest, DEFAULT_RANK).tolist(),
            "baseline": 0.7,
            "baseline_error": 0.0,
            "spectrum_error": 0.0,
            "storage_loss": 0.0,
            "conv1d": False,
            "shard": shard_name(digest_of(safetensors_parts({"v": v}, {}))),
            "spectrum_shard": "",
        }
    )


def _sizes(case: Case) -> set[int]:
    return {size for shape in case.shapes.values() for size in shape}


def _orthonormal(size: int, random: torch.Generator) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(size, DEFAULT_RANK, generator=random)).Q
    return q.contiguous()
