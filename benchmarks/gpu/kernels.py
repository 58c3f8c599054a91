"""One module at a time: the thin products, next to the dense method and the card's memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.figures.clock import clock_of, in_turn
from benchmarks.figures.dense import memory, projected, projection
from benchmarks.figures.result import Cell, Table
from benchmarks.gpu.bandwidth import Bandwidth
from benchmarks.gpu.made import SPREAD, make_update, make_v
from benchmarks.gpu.shapes import Shape
from worker.projection.thin import both_products, thin_products
from worker.projection.update import Update

BEYOND_CACHE = 2**30  # bytes of V that are gone through in turn: no cache holds them
SPARE = 0.8  # of the memory that is free is what the dense method may take


@dataclass(frozen=True)
class Measured:
    """Seconds of one module, and how far W = C·B is from float64's, ‖W - W64‖ / ‖W64‖."""

    shape: Shape
    rank: int
    ours: float
    launched: float
    made: float | None  # the dense method, C made too
    ready: float | None  # with C ready
    beside: int | None  # bytes that ours takes beside V, of a GPU's memory
    error: float
    dense_error: float | None

    @property
    def bytes(self) -> int:
        """V in 16 bits, read twice."""
        return 2 * 2 * math.prod(self.shape)


def measure(
    shape: Shape, rank: int, random: torch.Generator, *, rounds: int, cache: int = BEYOND_CACHE
) -> Measured:
    """`cache`: how many bytes of V are gone through, so that each is read from memory."""
    device = random.device
    pool = [make_v(shape, random) for _ in range(max(1, cache // (2 * math.prod(shape))))]
    update, norm = make_update(shape, rank, random), SPREAD * math.sqrt(math.prod(shape))

    def ours() -> None:
        for v in pool:
            thin_products(v, update, norm)

    def launched() -> None:
        for v in pool:
            both_products(v, update, norm)

    clock = clock_of(device)
    thin = in_turn({"ours": ours, "launched": launched}, rounds, clock)
    v = pool[0]
    beside = _beside(v, update, norm)
    image = thin_products(v, update, norm).image
    exact = _exact(v, update, norm)
    made = ready = dense_error = None
    if memory(*shape) <= SPARE * _free(device):
        c = projection(v)
        dense_error = _error(projected(c, update)[0], exact)
        times = in_turn(
            {
                "made": lambda: projected(projection(v), update),
                "ready": lambda: projected(c, update),
            },
            rounds,
            clock,
        )
        made, ready = times["made"].best, times["ready"].best
    return Measured(
        shape=shape,
        rank=rank,
        ours=thin["ours"].best / len(pool),
        launched=thin["launched"].best / len(pool),
        made=made,
        ready=ready,
        beside=beside,
        error=_error(image, exact),
        dense_error=dense_error,
    )


def tables(measured: list[Measured], bandwidth: Bandwidth, where: str) -> list[Table]:
    """Times, a table a rank, and errors."""
    columns = (
        "out × in", "ours, ms", "no waits, ms", "dense, ms", "C ready, ms", "dense / ours",
        "C ready / ours", "of copying", "no waits, of copying", "beside V, MB",
    )  # fmt: skip
    times = [
        Table(
            f"One module, r = {rank}, on {where}",
            columns,
            [list(_cells(m, bandwidth)) for m in measured if m.rank == rank],
            drawn=("ours, ms", "dense, ms", "C ready, ms"),
        )
        for rank in dict.fromkeys(m.rank for m in measured)
    ]
    times[-1] = replace(times[-1], notes=_notes(bandwidth))
    errors = Table(
        f"Error of W on {where}",
        ("out × in", "r", "ours", "dense"),
        [[_name(m.shape), m.rank, m.error, m.dense_error] for m in measured],
        notes=("‖W - W64‖ / ‖W64‖, W64 the same in float64 from the same V in bfloat16.",),
    )
    return [*times, errors]


def _notes(bandwidth: Bandwidth) -> tuple[str, ...]:
    return (
        "Ours: `thin_products` of V in bfloat16; the host waits for its norms. No waits: its two"
        " products alone, launched one after the other.",
        "Dense: the method as published in float32, C = V·Vᵀ/‖V‖ made, W = C·B, W·A and B·A in"
        " full, their cosine; and the same with C ready.",
        "Of copying: the bytes of V, read twice, a second, next to the bytes read and written a"
        " second by a copy in the same run. Each V is read from memory, for more of them than a"
        f" cache holds are gone through in turn. This device copies at"
        f" {bandwidth.copied / 1e12:.2g} TB/s and reads at {bandwidth.read / 1e12:.2g}.",
    )


def _cells(m: Measured, bandwidth: Bandwidth) -> Iterator[Cell]:
    yield from (_name(m.shape), 1e3 * m.ours, 1e3 * m.launched)
    for dense in (m.made, m.ready):
        yield None if dense is None else 1e3 * dense
    for dense in (m.made, m.ready):
        yield None if dense is None else dense / m.ours
    for seconds in (m.ours, m.launched):
        yield m.bytes / seconds / bandwidth.copied
    yield None if m.beside is None else m.beside / 1e6


def _name(shape: Shape) -> str:
    return f"{shape[0]} × {shape[1]}"


def _exact(v: Tensor, update: Update, norm: float) -> Tensor:
    """C·B (out, r) in float64."""
    wide = v.double()
    return wide @ (wide.T @ update.b.double()) / norm


def _error(w: Tensor, exact: Tensor) -> float:
    return float((w.double() - exact).norm() / exact.norm())


def _beside(v: Tensor, update: Update, norm: float) -> int | None:
    if not v.is_cuda:
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    thin_products(v, update, norm)
    return torch.cuda.max_memory_allocated() - before


def _free(device: torch.device) -> int:
    """Bytes that can still be had; on a CPU, what the shapes of a rehearsal need at most."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2**30
