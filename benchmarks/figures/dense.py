"""Safe LoRA as published (arXiv 2405.16833, section 3.2), every matrix in full: what ours replaces.

In float32, as the authors' code has it.
"""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from worker.projection.update import Update

BYTES = 4


def projection(v: Tensor) -> Tensor:
    """C = V·Vᵀ / ‖V‖_F (out, out)."""
    wide = v.float()
    return (wide @ wide.T).div_(wide.norm())


def projected(c: Tensor, update: Update) -> tuple[Tensor, float]:
    """W = C·B (out, r), and the cosine of W·A and B·A, both (out, in) in full."""
    b, a = update.b.float(), update.a.float()
    w = c @ b
    after, before = (w @ a).reshape(1, -1), (b @ a).reshape(1, -1)
    return w, float(cosine_similarity(after, before))


def memory(out: int, in_: int) -> int:
    """Bytes that it needs beside V: C, V in float32, B·A, W·A and what their cosine makes."""
    return BYTES * (out * out + 5 * out * in_)
