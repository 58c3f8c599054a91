"""The modules of a report as a picture has them: layers one way, families the other."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.report import ModuleRow

_WORDS: Final = 4


@dataclass(frozen=True)
class HeatMap:
    """`layers` ascending, `families` as they come first in the report; `index` says where in the
    report the module of a family and a layer stands, and has no entry where there is none. Modules
    outside any layer are in the layer None, which comes last."""

    families: tuple[str, ...]
    layers: tuple[int | None, ...]
    index: Mapping[tuple[str, int | None], int]


def heat_map(modules: Sequence[ModuleRow]) -> HeatMap:
    """One place for every module. A family is called by the last word of its modules' paths, or by
    more of them where that word is not enough (`encoder.…q` beside `decoder.…q`, experts)."""
    kinds = [_kind(row) for row in modules]
    names = _names(dict.fromkeys(kinds))
    layers = sorted({row.layer for row in modules if row.layer is not None})
    outside = any(row.layer is None for row in modules)
    return HeatMap(
        tuple(names.values()),
        (*layers, None) if outside else tuple(layers),
        {
            (names[kind], row.layer): at
            for at, (kind, row) in enumerate(zip(kinds, modules, strict=True))
        },
    )


def _kind(row: ModuleRow) -> tuple[str, ...]:
    """The path without the layer's number, as words: with the number it is the path again."""
    words = row.name.split(".")
    at = next((at for at, word in enumerate(words) if word.isdigit()), None)
    return tuple(words) if at is None else (*words[:at], "", *words[at + 1 :])


def _names(kinds: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """For each the fewest last words that no other ends with, and of many words the first and the
    last two where these are enough."""
    endings = Counter(kind[-words:] for kind in kinds for words in range(1, len(kind) + 1))
    shortest = {kind: _shortest(kind, endings) for kind in kinds}
    cut = {kind: _cut(words) for kind, words in shortest.items()}
    uses = Counter(cut.values())
    return {kind: cut[kind] if uses[cut[kind]] == 1 else ".".join(shortest[kind]) for kind in kinds}


def _shortest(kind: tuple[str, ...], endings: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    words = next((n for n in range(1, len(kind)) if endings[kind[-n:]] == 1), len(kind))
    return tuple(word or "…" for word in kind[-words:])


def _cut(words: tuple[str, ...]) -> str:
    return ".".join(words) if len(words) <= _WORDS else f"{words[0]}…{'.'.join(words[-2:])}"
