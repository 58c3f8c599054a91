"""What one module of an alignment brings to the mathematics."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ModuleAlignment:
    """V (out, in) as stored, ‖V‖_F, ‖W_aligned‖_F, and V's top singular directions.

    `u` (out, k), `sigma` (k,) in falling order, `z` (in, k) in float32; `baseline` is the cosine
    that a random update of this shape would score.
    """

    v: Tensor
    norm: float
    aligned_norm: float
    baseline: float
    u: Tensor
    sigma: Tensor
    z: Tensor
