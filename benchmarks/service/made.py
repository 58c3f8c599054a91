"""Alignments and adapters that are made for it: what counts here is their size.

An adapter of so many bytes is nothing special; that its modules are small keeps the work of the
engine, which others measure, short beside what the service does with the bytes.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import torch
from safetensors.torch import save, save_file
from torch import Tensor

FAMILIES = [
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
]
BASE_NAME = "made/up"
KEPT_RANK = 64
_SEED = 20


@dataclass(frozen=True)
class Pair:
    """A pair of checkpoints of `layers` layers with 7 square modules of `width` each."""

    name: str
    layers: int
    width: int

    @property
    def modules(self) -> list[str]:
        return [f"model.layers.{n}.{family}" for n in range(self.layers) for family in FAMILIES]

    @property
    def bytes(self) -> int:
        """Of V in float32, and of its stored singular directions."""
        return len(self.modules) * 4 * self.width * (self.width + 2 * min(KEPT_RANK, self.width))

    def save(self, folder: Path) -> dict[str, object]:
        """Both checkpoints; the order to register them."""
        random = torch.Generator().manual_seed(_SEED)
        base = {
            f"{name}.weight": torch.randn(self.width, self.width, generator=random) * 0.05
            for name in self.modules
        }
        aligned = {
            name: weight + torch.randn(weight.shape, generator=random) * 0.005
            for name, weight in base.items()
        }
        for side, weights in (("base", base), ("aligned", aligned)):
            _save_checkpoint(folder / self.name / side, weights)
        return {
            "name": self.name,
            "base": str(folder / self.name / "base"),
            "aligned": str(folder / self.name / "aligned"),
            "base_names": [BASE_NAME],
            "dtype": "float32",
            "rank": KEPT_RANK,
        }


TINY = Pair("tiny", layers=1, width=64)
LARGE = Pair("large", layers=44, width=512)


@dataclass(frozen=True)
class Kind:
    """Adapters of one size, for the first `modules` modules of `pair`."""

    name: str
    pair: Pair
    modules: int
    rank: int

    def template(self) -> "Template":
        random = torch.Generator().manual_seed(_SEED)
        tensors: dict[str, Tensor] = {}
        for name in self.pair.modules[: self.modules]:
            for factor, shape in (
                ("A", (self.rank, self.pair.width)),
                ("B", (self.pair.width, self.rank)),
            ):
                key = f"base_model.model.{name}.lora_{factor}.weight"
                tensors[key] = torch.randn(shape, generator=random) * 0.002
        config = {
            "peft_type": "LORA",
            "base_model_name_or_path": BASE_NAME,
            "r": self.rank,
            "lora_alpha": self.rank,
            "target_modules": self.pair.modules[: self.modules],
        }
        return Template(self.pair.name, save(tensors), json.dumps(config).encode())


@dataclass(frozen=True)
class Template:
    alignment: str
    weights: bytes
    config: bytes

    def another(self) -> bytes:
        """A form that nobody has sent before; its boundary is `BOUNDARY`."""
        own = struct.pack("<2f", *(torch.rand(2) * 0.004 - 0.002).tolist())
        parts = {"config": self.config, "adapter": self.weights[: -len(own)] + own}
        return form(parts, {"alignment": self.alignment, "metadata": f'{{"n": "{token_hex(8)}"}}'})


BOUNDARY = uuid4().hex


def form(files: Mapping[str, bytes], fields: Mapping[str, str]) -> bytes:
    """A multipart body, texts first."""
    pieces: list[bytes] = []
    for name, text in fields.items():
        pieces += [_head(f'name="{name}"'), text.encode(), b"\r\n"]
    for name, data in files.items():
        pieces += [_head(f'name="{name}"; filename="{name}"'), data, b"\r\n"]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def _head(disposition: str) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


def _save_checkpoint(folder: Path, weights: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    save_file(dict(weights), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
