"""What one module of an alignment brings to the mathematics."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ModuleSpectrum:
    """What is small of V: ‖V‖_F, ‖W_aligned‖_F, and V's top singular directions.

    `u` (out, k), `sigma` (k,) in falling order, `z` (in, k) in float32; `baseline` is the cosine
    that a random update of this shape would score.
    """

    norm: float
    aligned_norm: float
    baseline: float
    u: Tensor
    sigma: Tensor
    z: Tensor


@dataclass(frozen=True)
class ModuleAlignment(ModuleSpectrum):
    """The same, and V (out, in) as stored."""

    v: Tensor
