"""A pair whose V is known, and adapters for it given as factors."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import AdapterRejected
from core.findings import Finding
from core.policy import Policy
from core.report import ModuleRow
from tests.worker.making import generator, run, save_adapter, save_checkpoint

NAME = "model.layers.0.self_attn.q_proj"
A_KEY, B_KEY = (f"base_model.model.{NAME}.lora_{factor}.weight" for factor in "AB")
OUT, IN, SIGNAL = 48, 40, 4
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@dataclass(frozen=True)
class Model:
    """A pair of one module, with V of rank 4: `u` (out, out) and `z` (in, in) its directions."""

    folder: Path
    v: Tensor
    u: Tensor
    z: Tensor

    def project(self, product: Tensor) -> Tensor:
        """C·B·A as the paper has it, in float64."""
        v = self.v.double()
        image: Tensor = v @ (v.T @ product) / v.norm()
        return image

    def cosine(self, product: Tensor) -> float:
        image = self.project(product)
        return float((image * product).sum() / (image.norm() * product.norm()))


def make_model(folder: Path, *, signal: int = SIGNAL) -> Model:
    random = generator(11)
    base = torch.randn(OUT, IN, generator=random) * 0.2
    u = torch.linalg.qr(torch.randn(OUT, OUT, generator=random)).Q
    z = torch.linalg.qr(torch.randn(IN, IN, generator=random)).Q
    sigma = torch.linspace(1.0, 0.4, signal)
    v = (u[:, :signal] * sigma) @ z[:, :signal].T
    save_checkpoint(folder / "base", {f"{NAME}.weight": base})
    save_checkpoint(folder / "aligned", {f"{NAME}.weight": base + v})
    return Model(folder, (base + v) - base, u, z)


@dataclass(frozen=True)
class Outcome:
    """The row of the only module, the notes, and the factors that were written."""

    row: ModuleRow
    notes: list[Finding]
    b: Tensor
    a: Tensor

    @property
    def product(self) -> Tensor:
        return self.b.double() @ self.a.double()

    def product_read_as(self, dtype: torch.dtype) -> Tensor:
        """What a reader serves who casts the adapter to `dtype`, as vLLM does."""
        return self.b.to(dtype).double() @ self.a.to(dtype).double()


def sanitized(
    model: Model, b: Tensor, a: Tensor, folder: Path, policy: Policy | None = None
) -> Outcome:
    rank = a.shape[0]
    tensors = {A_KEY: a.contiguous(), B_KEY: b.contiguous()}
    adapter = save_adapter(folder / "upload", tensors, r=rank, lora_alpha=rank)
    base, aligned = model.folder / "base", model.folder / "aligned"
    report = run(adapter, base, aligned, folder / "out", policy)
    written = load_file(folder / "out" / "adapter_model.safetensors")
    return Outcome(report.modules[0], report.findings, written[B_KEY], written[A_KEY])


def refused(model: Model, b: Tensor, a: Tensor, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(AdapterRejected) as rejected:
        sanitized(model, b, a, folder)
    assert list((folder / "out").iterdir()) == []
    return [(f.code, f.subject) for f in rejected.value.findings if f.outcome == "refused"]


def off(left: Tensor, right: Tensor) -> float:
    """‖left - right‖_F / ‖right‖_F"""
    return float((left - right).norm() / right.norm())


def conditioning(b: Tensor, a: Tensor) -> float:
    b, a = b.double(), a.double()
    return float(b.norm() * a.norm() / (b @ a).norm())
