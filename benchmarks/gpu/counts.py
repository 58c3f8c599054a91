"""What a module asks of a GPU, and what a GPU's memory would make of that: counted, not timed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.figures.operations import counted
from benchmarks.figures.result import Cell, Table
from benchmarks.gpu import deferred
from benchmarks.gpu.adapters import engine
from benchmarks.gpu.made import DIRECTIONS, Module, make
from benchmarks.gpu.shapes import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B, Model, Shape

CARDS = {"H200": 4.8, "H100": 3.35, "L4": 0.3}  # TB/s, by their data sheets
REACHED = 0.8  # of these, by a good kernel
LAUNCH = 5e-6  # seconds that the host takes to launch an operation from Python
WAIT = 20e-6  # seconds that a value takes to the host, and the host to launch again
COUNTED, SHAPE, RANK = 32, (512, 512), 16  # modules of a family; one block of V, as on a GPU


@dataclass(frozen=True)
class Asked:
    """A module's share of what an adapter's scores ask of the device."""

    way: str
    launches: float
    waits: float

    def seconds(self, modules: int, device: float) -> float:
        """Of an adapter that the device itself is busy with for `device` seconds.

        Where each module is waited for, the host and the device take turns.
        """
        host = modules * (LAUNCH * self.launches + WAIT * self.waits)
        return host + device if self.waits >= 1.0 else max(host, device)


def count(shape: Shape = SHAPE, rank: int = RANK) -> list[Asked]:
    """On the CPU, of a few modules of one shape."""
    random = torch.Generator().manual_seed(0)
    modules = [make(shape, rank, random) for _ in range(COUNTED)]
    return [
        _asked("floats in each module, as today", modules, lambda: [engine(m) for m in modules]),
        _asked("floats once at the end", modules, lambda: deferred.scores(modules)),
    ]


def _asked(way: str, modules: list[Module], work: Callable[[], object]) -> Asked:
    with counted() as operations:
        work()
    many = len(modules)
    return Asked(way, operations.launched.total() / many, operations.waits.total() / many)


def counts_table(asked: list[Asked]) -> Table:
    return Table(
        "What a module's products and scores ask of a GPU",
        ("", "operations", "host waits"),
        [[a.way, a.launches, a.waits] for a in asked],
        notes=(
            f"Counted on a CPU, for {COUNTED} modules of one shape, r = {RANK}. An operation is one"
            " of torch's that computes: a launch or more. A wait is a value asked for: what was"
            " launched must end before the host launches more. `benchmarks/gpu/deferred.py` has the"
            " scores with no wait between modules.",
        ),
    )


def predicted_table(asked: list[Asked]) -> Table:
    """Milliseconds of whole adapters, all linear modules."""
    rows: list[list[Cell]] = []
    for model in (LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B):
        for card, speed in CARDS.items():
            seconds = moved(model) / (speed * 1e12 * REACHED)
            rows.append(
                [
                    model.name, card, moved(model) / 1e9, 1e3 * seconds,
                    *(1e3 * a.seconds(len(model.modules), seconds) for a in asked),
                ]
            )  # fmt: skip
    return Table(
        "What bytes and launches predict",
        ("all linear", "card", "GB moved", "bytes, ms", *(f"{a.way}, ms" for a in asked)),
        rows,
        notes=(
            f"Moved: V in 16 bits twice, and U and Z of {DIRECTIONS} directions once in float32,"
            f" at {REACHED:.0%} of the card's memory speed ("
            + ", ".join(f"{card} {speed} TB/s" for card, speed in CARDS.items())
            + "). What is done now, a copy of V in float32 first, moves five times as much.",
            f"The host takes {1e6 * LAUNCH:.0f} µs for a launch and {1e6 * WAIT:.0f} µs for a wait:"
            " beside the card's own time, but in turn with it where each module is waited for. What"
            " the host computes is left out. All of this is assumed and not measured, and so is"
            " that all of the adapter's V lies on the card, or on as many as it needs.",
        ),
        drawn=tuple(f"{a.way}, ms" for a in asked),
    )


def moved(model: Model) -> int:
    """Bytes of V twice and of U and Z once."""
    spectra = sum(4 * DIRECTIONS * (out + in_) for out, in_ in model.modules)
    return 2 * 2 * model.weights + spectra
