"""What the device's memory gives at most, measured in the same run."""

from dataclasses import dataclass

import torch

from benchmarks.figures.clock import clock_of, in_turn
from benchmarks.figures.machine import copying_memory, reading_memory
from benchmarks.figures.result import Cell, Table

LARGE = 2**32  # bytes, far beyond any cache


@dataclass(frozen=True)
class Bandwidth:
    """Bytes a second. `copied`: of a copy, read and written; `read`: of reading alone."""

    copied: float
    read: float

    def table(self, where: str) -> Table:
        rows: list[list[Cell]] = [
            ["copying, read and written", self.copied / 1e9],
            ["reading", self.read / 1e9],
        ]
        return Table(f"Memory of {where}", ("", "GB/s"), rows)


def measure(device: torch.device, *, rounds: int, size: int = LARGE) -> Bandwidth:
    copy, copied = copying_memory(device, size)
    read, reads = reading_memory(device, size)
    times = in_turn({"copy": copy, "read": read}, rounds, clock_of(device))
    return Bandwidth(copied / times["copy"].best, reads / times["read"].best)
