"""Markdown tables of what was measured, and of the bytes that each method needs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from benchmarks.methods.made import SHAPES, STORED, Adapted
from benchmarks.methods.measure import OnGolden, OnShape, Rounded, Timed

V_BYTES, SPECTRUM_BYTES = 2, 4  # bfloat16 and float32
SCORES = ('scores "all"', '"spectrum"')

Modules = Mapping[tuple[int, int], int]
"""How many there are of each (out, in)."""

LLAMA_2_7B: Modules = {(4096, 4096): 4 * 32, (11008, 4096): 2 * 32, (4096, 11008): 32}


def golden_table(measured: Iterable[OnGolden]) -> str:
    head = ["method", "uses", "whole adapter", "least module", "most"]
    rows = [
        [m.method.label, m.method.uses, _share(m.whole), _share(m.least), _share(m.most)]
        for m in measured
    ]
    return _table(head, rows)


def shape_table(adapters: Sequence[Adapted], measured: Iterable[OnShape]) -> str:
    head = ["method", *(f"{a.kind}, r = {a.rank}" for a in adapters)]
    return _table(head, [[m.method.label, *map(_share, m.retained)] for m in measured])


def time_table(by_shape: Mapping[str, Sequence[Timed]]) -> str:
    """In units of what safe_lora takes with V, the first of each shape."""
    head = ["method", *(f"{shape}, {what}" for shape in by_shape for what in SCORES)]
    columns = [[_times(one, ones[0].with_v) for one in ones] for ones in by_shape.values()]
    labels = [one.method.label for one in next(iter(by_shape.values()))]
    rows = [
        [label, *chain.from_iterable(cells)] for label, *cells in zip(labels, *columns, strict=True)
    ]
    return _table(head, rows)


def rounded_table(measured: Iterable[Rounded]) -> str:
    head = ["adapter", "Z in", "left of ‖B·A‖", "off by, of ‖B·A‖"]
    rows = [
        [m.kind, str(m.dtype).removeprefix("torch."), f"{m.left:.1e}", f"{m.off:.1e}"]
        for m in measured
    ]
    return _table(head, rows)


def bytes_table() -> str:
    head = ["modules", "k stored", "V, 16 bits", "U", "Z", *SCORES]
    rows = [_bytes_row(f"{out} × {in_}", {(out, in_): 1}, STORED, 1e6, "MB") for out, in_ in SHAPES]
    rows += [
        _bytes_row("Llama-2-7B, all linear: 224 modules", LLAMA_2_7B, k, 1e9, "GB")
        for k in (STORED, 16)
    ]
    return _table(head, rows)


def _bytes_row(name: str, modules: Modules, k: int, unit: float, word: str) -> list[str]:
    v = sum(count * out * in_ * V_BYTES for (out, in_), count in modules.items())
    u = sum(count * out * k * SPECTRUM_BYTES for (out, _), count in modules.items())
    z = sum(count * in_ * k * SPECTRUM_BYTES for (_, in_), count in modules.items())
    sizes = (v, u, z, v + u + z, u + z)
    return [name, str(k), *(f"{size / unit:.2f} {word}" for size in sizes)]


def _times(measured: Timed, unit: float) -> tuple[str, str]:
    short = measured.without_v
    return f"{measured.with_v / unit:.2f}", "-" if short is None else f"{short / unit:.2f}"


def _share(value: float) -> str:
    return f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
