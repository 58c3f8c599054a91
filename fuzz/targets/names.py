"""Tensor names as a header lists them: `M` (as MLX) or `P` (as PEFT), then a JSON list of text."""

from core.canonical import parse_json_strictly
from fuzz.guard import Target
from fuzz.targets import Place
from worker.adapter.keys import no_factor, pair_keys, resolve
from worker.alignment.pair import Pair


def make(place: Place) -> Target:
    with Pair(place.pair / "base", place.pair / "aligned") as pair:
        shapes, left_out = pair.shapes, pair.left_out

    def accepts(data: bytes) -> bool:
        """Accepted if every name is one of a known pair's."""
        names = _names(data[1:])
        pairs, others, found = pair_keys(dict.fromkeys(names), mlx=data[:1] == b"M")
        _, unknown = resolve(pairs, shapes, left_out)
        found += [no_factor(name) for name in others]
        return bool(pairs) and not (found or unknown)

    return accepts


def _names(data: bytes) -> list[str]:
    try:
        names = parse_json_strictly(data)
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
