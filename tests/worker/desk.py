"""A desk for the offline command: a pair, an adapter for it, and a folder to work in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worker.making import lora, save_adapter, save_checkpoint
from worker.__main__ import main
from worker.alignment.build import build_alignment
from worker.alignment.pair import Pair

MODULES = {
    "model.layers.0.self_attn.q_proj": (12, 10),
    "model.layers.0.self_attn.v_proj": (6, 10),
    "model.layers.1.self_attn.q_proj": (12, 10),
}
Q_PROJ = "model.layers.0.self_attn.q_proj"
DONE, FAILED, WRONG_ARGUMENTS, REJECTED = 0, 1, 2, 3


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A pair, an adapter for it, and a folder to work in."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def aligned(self) -> Path:
        return self.folder / "aligned"

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"

    @property
    def output(self) -> Path:
        return self.folder / "made" / "output"

    def arguments(self, *more: str, adapter: Path | None = None) -> list[str]:
        return ["sanitize", str(adapter or self.adapter), "--output", str(self.output), *more]

    @property
    def pair(self) -> tuple[str, ...]:
        return ("--base", str(self.base), "--aligned", str(self.aligned))

    def run(self, *more: str, adapter: Path | None = None) -> Ended:
        """The command in this process; `--base` and `--aligned` only if they are among `more`."""
        code = main(self.arguments(*more, adapter=adapter))
        printed = self.capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    def written(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in self.output.iterdir()}

    def nothing_made(self) -> bool:
        """Neither the output folder nor anything that was on its way into it."""
        parent = self.output.parent
        return not self.output.exists() and not (parent.exists() and any(parent.iterdir()))


def make_desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    random = torch.Generator().manual_seed(2)
    base = {
        f"{name}.weight": torch.randn(shape, generator=random) * 0.3
        for name, shape in MODULES.items()
    }
    base["model.embed_tokens.weight"] = torch.randn(20, 10, generator=random)
    change = {k: torch.randn(w.shape, generator=random) * 0.03 for k, w in base.items()}
    change[f"{Q_PROJ}.weight"][4:] = 0.0  # so that one module's cosine is low
    save_checkpoint(tmp_path / "base", base)
    save_checkpoint(tmp_path / "aligned", {k: w + change[k] for k, w in base.items()})
    save_adapter(tmp_path / "adapter", lora(MODULES), base_model_name_or_path="org/model")
    return Desk(tmp_path, capsys)


def build(desk: Desk, *, rank: int = 64, dtype: Any = "float32") -> Path:
    folder = desk.folder / f"alignment-{rank}-{dtype}"
    folder.mkdir()
    with Pair(desk.base, desk.aligned) as pair:
        build_alignment(pair, folder, dtype=dtype, rank=rank, step=lambda *_: None)
    return folder
