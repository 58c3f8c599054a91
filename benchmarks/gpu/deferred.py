"""Scores of a whole adapter without a wait between its modules: what the engine would do to fill
a GPU.

All that the scores need of tall matrices are r × r ones. Only what has another large matrix for
each module is launched one by one; the rest for all modules of one shape and rank at once, and the
host takes every float in one piece at the end. Where float32's rounding would show (see
`worker.projection.thin`) the host could tell from these sums too, and do that module again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from benchmarks.gpu.made import Module
from worker.projection.directions import NEAR_STRONGEST, NOTICEABLE
from worker.projection.thin import both_products


@dataclass(frozen=True)
class Sums:
    """One module's scores as `worker.projection.score` has them; `count` is `Directions`'."""

    norm: float
    cosine: float
    signed: float
    energy: float
    input_energy: float
    count: float
    purity: float
    confined: float


@dataclass(frozen=True)
class Thin:
    """Of n modules of one shape, in float64: B and W (n, out, r), A (n, r, in), Vᵀ·B (n, in, r),
    U_kᵀ·B (n, k, r), A·Z_k (n, r, k)."""

    b: Tensor
    a: Tensor
    back: Tensor
    image: Tensor
    inside: Tensor
    seen: Tensor


def scores(modules: Sequence[Module]) -> list[Sums]:
    """Of every module, in their order; one wait."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, module in enumerate(modules):
        shapes.setdefault((*module.alignment.v.shape, module.update.rank), []).append(index)
    alike = list(shapes.values())
    launched = [_sums([modules[index] for index in indices]) for indices in alike]  # (8, n)
    rows = torch.cat(launched, dim=1).T.cpu().tolist()
    order = [index for indices in alike for index in indices]
    found = {index: Sums(*row) for index, row in zip(order, rows, strict=True)}
    return [found[index] for index in range(len(modules))]


def _sums(modules: Sequence[Module]) -> Tensor:
    """A row for each field of `Sums`, a column for each of the modules, which are of one shape."""
    thin = _thin(modules)
    norms = [module.alignment.norm for module in modules]
    v_norms = thin.b.new_tensor(norms)  # (n,)
    gram = thin.a @ thin.a.mT  # (n, r, r)
    bb = thin.b.mT @ thin.b  # (n, r, r)
    image_b, image_image = thin.image.mT @ thin.b, thin.image.mT @ thin.image  # (n, r, r)
    norm = _total(bb * gram).sqrt()  # (n,)
    rows = {
        "norm": norm,
        "cosine": _total(image_b * gram) / (_total(image_image * gram).sqrt() * norm),
        "signed": _total(thin.back * thin.a.mT) / (norm * v_norms),
        "energy": _share((thin.inside.mT @ thin.inside) * gram, norm),
        "input_energy": _share(bb * (thin.seen @ thin.seen.mT), norm),
        **_directions(gram, bb, thin.inside, spanned=3 * thin.inside.shape[1] > thin.b.shape[1]),
    }
    return torch.stack([rows[field.name] for field in fields(Sums)])


def _thin(modules: Sequence[Module]) -> Thin:
    backs, images, insides, seens = [], [], [], []
    for module in modules:
        b, alignment = module.update.b, module.alignment
        back, image = both_products(alignment.v, module.update, alignment.norm)  # (in, r), (out, r)
        backs.append(back)
        images.append(image)
        insides.append(alignment.u.T @ b)  # (k, r)
        seens.append(module.update.a @ alignment.z)  # (r, k)
    b = torch.stack([module.update.b for module in modules])
    a = torch.stack([module.update.a for module in modules])
    others = (torch.stack(tensors) for tensors in (backs, images, insides, seens))
    return Thin(*(tensor.double() for tensor in (b, a, *others)))


def _directions(gram: Tensor, bb: Tensor, inside: Tensor, *, spanned: bool) -> dict[str, Tensor]:
    """See `worker.projection.directions`; each (n,)."""
    values, vectors = torch.linalg.eigh(gram)
    root = vectors * values.clamp(min=0.0).sqrt()[:, None, :]  # (n, r, r)
    energies, turns = torch.linalg.eigh(root.mT @ bb @ root)  # (n, r) rising, (n, r, r)
    noticed = torch.minimum(NOTICEABLE * energies.sum(dim=1), NEAR_STRONGEST * energies[:, -1])
    kept = energies >= noticed[:, None]  # (n, r)
    overlaps = (inside @ root @ turns).square() / energies[:, None, :]  # (n, k, r)
    overlaps = torch.where(kept[:, None, :], overlaps, 0.0)
    confined = overlaps.sum(dim=1).amax(dim=1)
    return {
        "count": kept.sum(dim=1),
        "purity": overlaps.amax(dim=(1, 2)),
        "confined": torch.zeros_like(confined) if spanned else confined,
    }


def _share(matrices: Tensor, norm: Tensor) -> Tensor:
    """How much of ‖B·A‖² each of n sums is."""
    return (_total(matrices) / norm.square()).clamp(max=1.0)


def _total(matrices: Tensor) -> Tensor:
    """The sum of each of n matrices."""
    return matrices.sum(dim=(1, 2))
