"""Uploads as bytes, so that each attack can lie about exactly one thing."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from core.errors import AdapterRejected
from core.findings import Finding
from core.policy import Policy
from core.report import Report
from core.store.layout import INPUT_FILES
from tests.worker.making import CONFIG, generator, lora, pair_alignment, save_checkpoint
from worker.adapter import AdapterFiles
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker

MODEL, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
Q_PROJ = "model.layers.0.self_attn.q_proj"
OUT, IN = 8, 6
A_KEY, B_KEY = f"{PREFIX}{Q_PROJ}.lora_A.weight", f"{PREFIX}{Q_PROJ}.lora_B.weight"
MODULES = (
    Q_PROJ,
    "model.layers.0.mlp.up_proj",
    "model.layers.0.mlp.up.proj",  # what `up.proj`, read as a regular expression, fits too
    "score",
    "model.score",  # the same module as `score` to a reader who adds the model prefix
)
DOWN_PROJ = "model.layers.0.mlp.down_proj"  # (IN, OUT): V can span its whole output space
NO_MODULES = ("model.embed_tokens", "model.layers.0.mlp.gate")  # an embedding and a router


@dataclass(frozen=True)
class Folders:
    """The registered pair."""

    base: Path
    aligned: Path


@dataclass(frozen=True)
class Upload:
    """An adapter folder: PEFT's two files, None for one that is missing, and what lies beside."""

    model: bytes | None
    config: bytes | None
    others: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> AdapterFiles:
        """The folder, as a job finds it."""
        folder.mkdir(parents=True)
        for name, data in self.files().items():
            (folder / name).write_bytes(data)
        return self.at(folder)

    def at(self, folder: Path) -> AdapterFiles:
        """The folder it was written to, as a job is told of it."""
        return AdapterFiles(folder, tuple(n for n in self.others if n not in INPUT_FILES))

    def files(self) -> dict[str, bytes]:
        named = {MODEL: self.model, CONFIG_FILE: self.config}
        return {name: data for name, data in named.items() if data is not None} | dict(self.others)


Change = Callable[[Upload], Upload]


def pair_weights() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of the base and of the aligned model, which differ by a random matrix in each module."""
    random = generator(7)
    base = {
        f"{module}.weight": torch.randn(OUT, IN, generator=random) * 0.5
        for module in (*MODULES, *NO_MODULES)
    }
    base[f"{DOWN_PROJ}.weight"] = torch.randn(IN, OUT, generator=generator(8)) * 0.5
    aligned = {
        key: weight + torch.randn(weight.shape, generator=random) * 0.05
        for key, weight in base.items()
    }
    return base, aligned


def make_pair(folder: Path) -> Folders:
    """Both as checkpoints."""
    base, aligned = pair_weights()
    return Folders(
        save_checkpoint(folder / "base", base), save_checkpoint(folder / "aligned", aligned)
    )


def honest_tensors() -> dict[str, Tensor]:
    return lora({Q_PROJ: (OUT, IN)})


def honest() -> Upload:
    """An adapter that is let in: every attack changes one thing of it."""
    return Upload(save(honest_tensors()), json.dumps(CONFIG).encode())


def config(**fields: Any) -> Change:
    """The config with these fields set."""
    return raw_config(json.dumps({**CONFIG, **fields}).encode())


def config_without(name: str) -> Change:
    return raw_config(json.dumps({k: v for k, v in CONFIG.items() if k != name}).encode())


def config_text(name: str, text: str) -> Change:
    """The config with a field whose value is written as `text`, whether or not JSON allows it."""
    rest = json.dumps({k: v for k, v in CONFIG.items() if k != name})
    return raw_config(f'{rest[:-1]}, "{name}": {text}}}'.encode())


def raw_config(data: bytes) -> Change:
    return lambda upload: replace(upload, config=data)


def tensors(**config_fields: Any) -> Callable[[Mapping[str, Tensor]], Change]:
    """The honest tensors and these, which replace those of the same name."""

    def change(extra: Mapping[str, Tensor]) -> Change:
        data = save({**honest_tensors(), **extra})
        return lambda upload: replace(config(**config_fields)(upload), model=data)

    return change


def added(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Change:
    """The honest tensors and one of zeros under this name."""
    return tensors()({name: torch.zeros(shape, dtype=dtype)})


def only(given: Mapping[str, Tensor], **config_fields: Any) -> Change:
    """These tensors alone."""
    data = save(dict(given))
    return lambda upload: replace(config(**config_fields)(upload), model=data)


def raw_model(data: bytes) -> Change:
    return lambda upload: replace(upload, model=data)


def beside(name: str) -> Change:
    """The honest adapter with another file next to it."""
    return lambda upload: replace(upload, others={name: b"anything"})


def entry(start: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def safetensors_file(header: Mapping[str, Any] | bytes, body: bytes = b"") -> bytes:
    """A file with this header, true to its length and to nothing else."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def split(data: bytes) -> tuple[bytes, bytes]:
    """Header and body of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length], data[8 + length :]


def sanitize_upload(
    upload: Upload,
    pair: Folders,
    folder: Path,
    policy: Policy | None = None,
    known: tuple[str, ...] = (),
) -> Report:
    """The pipeline on `upload`, from `folder/upload` to `folder/output`."""
    files = upload.write(folder / "upload")
    (folder / "output").mkdir()
    with pair_alignment(pair.base, pair.aligned) as alignment:
        return sanitize(
            files,
            alignment,
            policy or Policy(),
            folder / "output",
            base_names=BaseNames(known=known),
            tracker=Tracker(),
        )


def refusal(
    upload: Upload, pair: Folders, folder: Path, policy: Policy | None = None
) -> list[Finding]:
    """What it is refused for; [] if it is let in. Nothing else may be raised."""
    try:
        sanitize_upload(upload, pair, folder, policy)
    except AdapterRejected as rejected:
        return [f for f in rejected.findings if f.outcome == "refused"]
    return []
