"""The same module three ways: ours, and the published one with C made anew or ready."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from benchmarks.kernel.shapes import Shape
from worker.projection import native
from worker.projection.score import cosine
from worker.projection.thin import ThinProducts, thin_products
from worker.projection.update import Update, product_norm

BLOCK = 512  # rows or columns of V at a time in float64


@dataclass(frozen=True)
class Case:
    """V (out, in) as it is stored, and an adapter of rank r in `dtype`; both at random, since
    nothing that is timed looks at their values."""

    v: Tensor
    update: Update

    @cached_property
    def norm(self) -> float:
        return float(self.v.double().norm())

    @classmethod
    def random(cls, shape: Shape, rank: int, dtype: torch.dtype) -> "Case":
        """V in bfloat16."""
        v = torch.empty(shape.out, shape.in_, dtype=torch.bfloat16).normal_(0.0, 1e-3)
        b = (torch.randn(shape.out, rank) * 1e-2).to(dtype)
        a = torch.randn(rank, shape.in_).to(dtype)
        return cls(v, Update(b.float(), a.float()))

    def ours(self) -> tuple[ThinProducts, float]:
        """Projected B, and the cosine."""
        products = thin_products(self.v, self.update, self.norm)
        return products, cosine(self.update, products, product_norm(self.update))

    def by_torch(self) -> tuple[ThinProducts, float]:
        """The same where nothing of ours is compiled."""
        level, native.LEVEL = native.LEVEL, native.Level.NOTHING
        try:
            return self.ours()
        finally:
            native.LEVEL = level

    def error(self) -> float:
        """‖W - W64‖ / ‖W64‖ against float64 on the same V."""
        columns, rows = (torch.split(self.v, BLOCK, dim=dim) for dim in (1, 0))
        back = torch.cat([block.double().T @ self.update.b.double() for block in columns])
        exact = torch.cat([block.double() @ back for block in rows]) / self.norm
        return float((self.ours()[0].image.double() - exact).norm() / exact.norm())
