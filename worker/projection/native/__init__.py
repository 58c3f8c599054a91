"""Products of V with a few columns by `thin.c`, where this processor has what that is written for.

Torch's own products of so few columns are bound by arithmetic and copies, not by reading V
(docs/performance.md). Where there is no such processor, or no compiled library, `LEVEL` is NOTHING
and torch multiplies.
"""

import ctypes
import platform
from enum import IntEnum
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor

_COLUMNS = 8  # of B at a time: fewer are made up with zeros
_STEP = 32  # elements of a row of V at a time
_LINE_BYTES = 64
_KINDS = {torch.bfloat16: 0, torch.float16: 1, torch.float32: 2}


class Level(IntEnum):
    """What can be done here: products in float32, and those of pairs in bfloat16."""

    NOTHING = 0
    FLOATS = 1
    PAIRS = 2


def back(v: Tensor, b: Tensor, *, pairs: bool) -> Tensor:
    """Vᵀ·B (in, r) in float32 for V (out, in) and B (out, r), both on the CPU.

    It takes `LEVEL` FLOATS; with `pairs` `LEVEL` PAIRS, and V and B that hold bfloat16's numbers
    only: their products are exact, and it is quicker.
    """
    (out, in_), rank = v.shape, b.shape[1]
    r = rank + -rank % _COLUMNS
    factors = _padded(b.float(), out + out % 2, r)
    if pairs:
        factors = factors.bfloat16().view(-1, 2, r).transpose(1, 2)
    lead = _lead(v)
    result = torch.zeros(r, _whole_steps(lead + in_))
    name = "thin_back_pairs" if pairs else "thin_back_floats"
    run(name, v, lead, factors.contiguous(), pairs, r, result.shape[1], result)
    return result[:rank, lead : lead + in_].T


def forward(v: Tensor, x: Tensor) -> Tensor:
    """V·X (out, r) in float32 for V (out, in) and X (in, r), both on the CPU.

    Not in pairs: what Vᵀ·B loses in bfloat16 can be steered by whoever chose B, and with two parts
    of it that lose nothing these would be no quicker (measured).
    """
    (out, in_), rank = v.shape, x.shape[1]
    lead = _lead(v)
    factors = _padded(x.T, rank + -rank % _COLUMNS, _whole_steps(lead + in_), left=lead)
    r, stride = factors.shape
    result = torch.empty(out, r)
    run("thin_forward_floats", v, lead, factors.float().contiguous(), False, r, stride, result)
    return result[:, :rank]


def can(*, pairs: bool) -> bool:
    """Whether these products can be made here."""
    needed = Level.PAIRS if pairs else Level.FLOATS
    return needed <= LEVEL


def describe() -> str:
    """Which products this process has, for the log and for benchmarks."""
    names = {
        Level.NOTHING: "torch's products, there being none of our own for this processor",
        Level.FLOATS: "our own products in float32",
        Level.PAIRS: "our own products in float32 and bfloat16",
    }
    missing = _LIBRARY is None and platform.machine() == "x86_64"
    return "torch's products: thin.c is not compiled" if missing else names[LEVEL]


def _lead(v: Tensor) -> int:
    """Elements from the start of V's first cache line to V, which a header in a file has moved."""
    return v.data_ptr() % _LINE_BYTES // v.element_size()


def _whole_steps(elements: int) -> int:
    return elements + -elements % _STEP


def _padded(matrix: Tensor, rows: int, columns: int, left: int = 0) -> Tensor:
    """With zeros around it; itself where nothing is missing."""
    below, right = rows - matrix.shape[0], columns - left - matrix.shape[1]
    if below or left or right:
        return torch.nn.functional.pad(matrix, (left, right, 0, below))
    return matrix


def run(
    name: str,
    v: Tensor,
    lead: int,
    factors: Tensor,
    pairs: bool,
    r: int,
    stride: int,
    result: Tensor,
) -> None:
    """One call of the library: `v` is read once, into `result`; see `thin.c`."""
    if _LIBRARY is None or not can(pairs=pairs):
        raise RuntimeError(f"{name} cannot run here: {describe()}")
    if not v.is_contiguous() or v.device.type != "cpu":
        raise ValueError(f"{name} takes rows that lie one after the other, on the CPU")
    if pairs and v.dtype != torch.bfloat16:
        raise ValueError(f"{name} takes pairs of bfloat16, and V is in {v.dtype}")
    getattr(_LIBRARY, name)(
        ctypes.c_void_p(v.data_ptr()),
        ctypes.c_int(_KINDS[v.dtype]),
        *(ctypes.c_long(size) for size in (*v.shape, lead)),
        ctypes.c_void_p(factors.data_ptr()),
        ctypes.c_long(r),
        ctypes.c_long(stride),
        ctypes.c_void_p(result.data_ptr()),
        ctypes.c_long(torch.get_num_threads()),
    )


def _load() -> ctypes.CDLL | None:
    """It finds its threads' runtime in this process, where importing torch has put it."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).parent / f"thin{suffix}"
        if path.exists():
            try:
                return ctypes.CDLL(str(path))
            except OSError:  # another runtime than it was compiled for
                return None
    return None


_LIBRARY = _load()
LEVEL = Level.NOTHING if _LIBRARY is None else Level(_LIBRARY.thin_level())
