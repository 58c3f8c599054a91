"""The linear modules of real models."""

from dataclasses import dataclass

RANKS = (8, 16, 64)

Shape = tuple[int, int]
"""(out, in)"""


@dataclass(frozen=True)
class Model:
    name: str
    hidden: int
    key_value: int
    intermediate: int
    layers: int

    @property
    def block(self) -> list[Shape]:
        """q, k, v, o, gate, up and down of one block."""
        wide, narrow = (self.hidden, self.hidden), (self.key_value, self.hidden)
        up, down = (self.intermediate, self.hidden), (self.hidden, self.intermediate)
        return [wide, narrow, narrow, wide, up, up, down]

    @property
    def modules(self) -> list[Shape]:
        return self.block * self.layers

    @property
    def weights(self) -> int:
        """Of all its linear modules: as many as V has."""
        return sum(out * in_ for out, in_ in self.modules)


LLAMA_2_7B = Model("Llama-2-7B", 4096, 4096, 11008, 32)
LLAMA_3_8B = Model("Llama-3-8B", 4096, 1024, 14336, 32)
LLAMA_3_70B = Model("Llama-3-70B", 8192, 1024, 28672, 80)
TOY = Model("a toy", 256, 64, 704, 2)


def distinct(models: list[Model]) -> dict[Shape, str]:
    """Each shape once, with the model that first has it."""
    found: dict[Shape, str] = {}
    for model in models:
        for shape in model.block:
            found.setdefault(shape, model.name)
    return found
