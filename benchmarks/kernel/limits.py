"""What this machine could do at most, measured beside what is done."""

from dataclasses import dataclass

import torch

from benchmarks.figures.clock import in_turn
from benchmarks.figures.machine import reading_memory

SIZE = 4096  # of a square product that keeps every core at its arithmetic
ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """Bytes a second from memory; multiplications a second, by dtype."""

    memory: float
    products: dict[torch.dtype, float]

    def reading(self, size: int) -> float:
        """Seconds to read twice as many bytes: a module's least."""
        return 2 * size / self.memory

    def multiplying(self, elements: int, rank: int, dtype: torch.dtype) -> float:
        """Seconds that both products' arithmetic takes."""
        return 2 * elements * rank / self.products[dtype]


def measure() -> Limits:
    """The best of some rounds, all kinds in turn."""
    read, size = reading_memory()
    left = {dtype: torch.randn(SIZE, SIZE).to(dtype) for dtype in (torch.bfloat16, torch.float32)}
    works = {"read": read} | {str(t): (lambda m=m: m @ m) for t, m in left.items()}
    times = in_turn(works, ROUNDS)
    products = {dtype: SIZE**3 / times[str(dtype)].best for dtype in left}
    return Limits(size / times["read"].best, products)
