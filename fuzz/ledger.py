"""Counts and the input in hand, in a file that outlives the process that is fuzzed."""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["accepted", "rejected", "crashed", "hung"]

CAPACITY = 64 * 2**20  # bytes of the largest input; of the file, only what is used takes space
_VERDICTS: tuple[Verdict, ...] = ("accepted", "rejected", "crashed", "hung")
_COUNTS = struct.Struct("<6Q")  # inputs, one for each verdict, bytes of the input in hand


@dataclass(frozen=True)
class Tally:
    """How many inputs were tried, and what came of each."""

    inputs: int = 0
    accepted: int = 0
    rejected: int = 0
    crashed: int = 0
    hung: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.inputs + other.inputs,
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.crashed + other.crashed,
            self.hung + other.hung,
        )

    def __str__(self) -> str:
        return (
            f"inputs={self.inputs} accepted={self.accepted} rejected={self.rejected}"
            f" crashed={self.crashed} hung={self.hung}"
        )

    @property
    def faults(self) -> int:
        return self.crashed + self.hung

    @property
    def unfinished(self) -> int:
        """1 if the process ended within an input, which then is the input in hand."""
        return self.inputs - self.accepted - self.rejected - self.faults


class Ledger:
    """Written before and after each input; nothing is lost however the process ends."""

    def __init__(self, path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(_COUNTS.size + CAPACITY)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._counts = [0] * 5

    @property
    def tally(self) -> Tally:
        return Tally(*self._counts)

    def begin(self, data: bytes) -> None:
        self._map[_COUNTS.size : _COUNTS.size + len(data)] = data
        self._counts[0] += 1
        _COUNTS.pack_into(self._map, 0, *self._counts, len(data))

    def end(self, verdict: Verdict) -> None:
        self._counts[1 + _VERDICTS.index(verdict)] += 1
        self._map[: 5 * 8] = struct.pack("<5Q", *self._counts)


def read_ledger(path: Path) -> tuple[Tally, bytes]:
    """The counts, and the input that was in hand last."""
    if not path.is_file():
        return Tally(), b""
    with path.open("rb") as file:
        *counts, size = _COUNTS.unpack(file.read(_COUNTS.size))
        return Tally(*counts), file.read(size)
