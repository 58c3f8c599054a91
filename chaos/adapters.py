"""Small adapters for the golden pair, a different one for every number, the same in every run."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from core.policy import All, Lowest, Policy, ScoreOnly, Threshold
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "tiny-llama"
BASE_NAME = "golden/tiny-llama-chat"

_NOISE = 0.5  # of the golden factors' own size: enough for other cosines and other choices
_LAYERS = 3
_Q = "base_model.model.model.layers.0.self_attn.q_proj"
_ZIP_DATE = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Adapter:
    """One input. `posted` are the form's parts, `files` and `other_names` what the job keeps of
    them; without a `policy` the alignment's own is asked for."""

    number: int
    kind: str
    posted: Mapping[str, bytes]
    files: Mapping[str, bytes]
    other_names: tuple[str, ...] = ()
    policy: Policy | None = None

    @property
    def form(self) -> dict[str, str]:
        """The form's text fields, but for the alignment."""
        if self.policy is None:
            return {}
        return {"policy": json.dumps(self.policy.model_dump(mode="json"))}


def make(number: int) -> Adapter:
    """The adapter of this number: any from 0 on."""
    kind = _KINDS[number % len(_KINDS)]
    tensors = _factors(number)
    spoil = _SPOILT.get(kind)
    if spoil is not None:
        spoil(tensors)
    model = save(tensors)
    if kind == "truncated":
        model = model[:-100]
    config = (GOLDEN / "adapter" / ADAPTER_CONFIG).read_bytes()
    files = {ADAPTER_MODEL: model, ADAPTER_CONFIG: config}
    if kind in ("archive", "truncated"):  # as a part it would be refused before it is a job
        return Adapter(number, kind, {"archive": _zip(files)}, files, ("README.md",))
    posted = {"adapter": model, "config": config}
    return Adapter(number, kind, posted, files, policy=_POLICIES.get(kind))


def _factors(number: int) -> dict[str, Tensor]:
    """The golden adapter's first layers, each factor moved a little at random."""
    random = torch.Generator().manual_seed(number)
    moved = {}
    for name, tensor in _golden().items():
        noise = torch.randn(tensor.shape, generator=random)
        moved[name] = tensor + _NOISE * tensor.abs().mean() * noise
    return moved


@cache
def _golden() -> dict[str, Tensor]:
    tensors = load_file(GOLDEN / "adapter" / ADAPTER_MODEL)
    return {name: tensor for name, tensor in sorted(tensors.items()) if _layer(name) < _LAYERS}


def _layer(name: str) -> int:
    return int(name.split(".layers.")[1].split(".")[0])


def _with_nan(tensors: dict[str, Tensor]) -> None:
    tensors[f"{_Q}.lora_B.weight"][0, 0] = float("nan")


def _with_unknown_module(tensors: dict[str, Tensor]) -> None:
    for factor in ("A", "B"):
        moved = tensors.pop(f"{_Q}.lora_{factor}.weight")
        tensors[f"{_Q.replace('layers.0', 'layers.99')}.lora_{factor}.weight"] = moved


def _with_base_weight(tensors: dict[str, Tensor]) -> None:
    tensors["base_model.model.model.norm.weight"] = torch.full((32,), 1.5)


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in {**files, "README.md": b"# An adapter\n"}.items():
            archive.writestr(zipfile.ZipInfo(f"adapter/{name}", _ZIP_DATE), data)
    return packed.getvalue()


_SPOILT: Mapping[str, Callable[[dict[str, Tensor]], None]] = {
    "nan": _with_nan,
    "unknown_module": _with_unknown_module,
    "base_weight": _with_base_weight,
}
_COMPLEMENT: Mapping[str, Any] = {"method": "complement", "side": "output", "rank": 4}
_POLICIES: Mapping[str, Policy] = {
    "complement": Policy(**_COMPLEMENT, selection=All(mode="all")),
    "lowest": Policy(selection=Lowest(mode="lowest", count=5)),
    "unchanged": Policy(selection=Threshold(threshold=0.0)),
    "scored": Policy(selection=ScoreOnly(mode="none")),
}
_KINDS = (
    *("plain", "plain", "lowest", "plain", "nan", "plain", "complement", "plain"),
    *("archive", "plain", "unknown_module", "plain", "plain", "scored", "plain", "lowest"),
    *("plain", "truncated", "plain", "archive", "plain", "base_weight", "complement", "unchanged"),
)
