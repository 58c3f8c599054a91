"""A whole adapter, warm on the card: its scores with a wait in each module, and without."""

from dataclasses import dataclass

import torch

from benchmarks.figures.clock import clock_of, in_turn
from benchmarks.figures.result import Ratio, Table
from benchmarks.gpu import deferred
from benchmarks.gpu.bandwidth import Bandwidth
from benchmarks.gpu.made import Module, make
from benchmarks.gpu.shapes import Model
from worker.projection.score import Scores, score_update
from worker.projection.thin import both_products, thin_products
from worker.projection.update import product_norm

SCALING = 2.0
SECONDS = 0.010  # of a Llama-2-7B on an H200: 2 × 13 GB at 4.8 TB/s are 5.4 ms
SHARE = 0.6  # of copying


@dataclass(frozen=True)
class Measured:
    """Seconds of one adapter. `today`: floats taken out in each module; `deferred`: once, after all
    is launched; `products`: the thin products alone."""

    model: Model
    rank: int
    today: float
    deferred: float
    products: float

    @property
    def bytes(self) -> int:
        """V in 16 bits, read twice."""
        return 2 * 2 * self.model.weights


def measure(model: Model, rank: int, random: torch.Generator, *, rounds: int) -> Measured:
    modules = [make(shape, rank, random) for shape in model.modules]

    def products() -> None:
        for module in modules:
            v, norm = module.alignment.v, module.alignment.norm
            both_products(v, module.update, norm)

    works = {
        "today": lambda: [engine(module) for module in modules],
        "deferred": lambda: deferred.scores(modules),
        "products": products,
    }
    times = in_turn(works, rounds, clock_of(random.device))
    return Measured(model, rank, *(times[name].best for name in works))


def engine(module: Module) -> Scores:
    """What a module's scores take, as the engine has it today."""
    update, alignment = module.update, module.alignment
    norm = product_norm(update)
    products = thin_products(alignment.v, update, alignment.norm)
    return score_update(update, alignment, products, norm=norm, scaling=SCALING)


def table(measured: Measured, bandwidth: Bandwidth, where: str) -> Table:
    bound = measured.bytes / bandwidth.copied
    count = len(measured.model.modules)
    ways = {
        "products and scores, floats after each module": measured.today,
        "products and scores, floats once at the end": measured.deferred,
        "products alone, all launched": measured.products,
    }
    return Table(
        f"{measured.model.name}, all linear ({count} modules), r = {measured.rank}, on {where}",
        ("", "ms", "µs a module", "of copying"),
        [[way, 1e3 * took, 1e6 * took / count, bound / took] for way, took in ways.items()],
        notes=(
            f"V, {measured.bytes / 2e9:.3g} GB in bfloat16, lies in the device's memory. Of"
            " copying: the bytes of V, read twice, a second, next to a copy's in the same run.",
        ),
        drawn=("ms",),
    )


def promised(measured: Measured, bandwidth: Bandwidth, where: str) -> list[Ratio]:
    """What an adapter is to be bound by: the card's memory."""
    share = measured.bytes / bandwidth.copied / measured.today
    name = f"{measured.model.name}, all linear, r = {measured.rank}"
    ratios = [Ratio(f"{name}: share of copying", share, "at_least", SHARE)]
    if "H200" in where:
        ratios.append(Ratio(f"{name}: seconds", measured.today, "at_most", SECONDS))
    return ratios
