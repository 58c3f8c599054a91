"""Safe LoRA as published (arXiv 2405.16833, section 3.2), every matrix in full: what ours replaces.

In float32, as the authors' code has it.
"""

from torch import Tensor

from worker.projection.update import Update

BYTES = 4


def projection(v: Tensor) -> Tensor:
    """C = V·Vᵀ / ‖V‖_F (out, out)."""
    wide = v.float()
    c: Tensor = wide @ wide.T / wide.norm()
    return c


def projected(c: Tensor, update: Update) -> tuple[Tensor, float]:
    """W = C·B (out, r), and the cosine of W·A and B·A, both (out, in) in full."""
    w = c @ update.b
    before, after = update.b @ update.a, w @ update.a
    return w, float((before * after).sum() / (before.norm() * after.norm()))


def memory(out: int, in_: int) -> int:
    """Bytes that it needs beside V: C twice where it is divided, V, B·A, W·A and their product."""
    return BYTES * (2 * out * out + 4 * out * in_)
