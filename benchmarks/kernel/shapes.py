"""The linear modules of well-known models, by shape."""

from dataclasses import dataclass

RANKS = (8, 16, 64)


@dataclass(frozen=True)
class Shape:
    """`modules`: who has it, for people."""

    modules: str
    out: int
    in_: int

    @property
    def elements(self) -> int:
        return self.out * self.in_

    def __str__(self) -> str:
        return f"{self.out}×{self.in_}"


SQUARE = Shape("7B, 8B q/o, 7B k/v", 4096, 4096)  # the one that figures are promised for

SHAPES = (
    SQUARE,
    Shape("8B k/v", 1024, 4096),
    Shape("7B gate/up", 11008, 4096),
    Shape("7B down", 4096, 11008),
    Shape("8B gate/up", 14336, 4096),
    Shape("8B down", 4096, 14336),
    Shape("70B q/o", 8192, 8192),
    Shape("70B k/v", 1024, 8192),
    Shape("70B gate/up", 28672, 8192),
    Shape("70B down", 8192, 28672),
)
