"""Tensor names → lora_A/lora_B pairs by module; every name that is none is a finding."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.findings import Finding, finding
from core.module_names import spellings

PEFT_PREFIX = "base_model.model."
FACTORS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_A.default.weight": "a",
    ".lora_B.default.weight": "b",
}
MLX_FACTORS = {".lora_a": "a", ".lora_b": "b"}
MODULE_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,31}\Z")


@dataclass(frozen=True)
class PairKeys:
    """The two tensor names of one module, as they stand in the file.

    `transposed`: A lies there as (in, r) and B as (r, out), as MLX has them.
    """

    path: str
    a: str
    b: str
    transposed: bool = False


def canonical_key(path: str, factor: str) -> str:
    """The one spelling that is written: what PEFT and vLLM read."""
    return f"{PEFT_PREFIX}{path}.lora_{factor.upper()}.weight"


def pair_keys(
    names: Iterable[str], *, mlx: bool = False
) -> tuple[list[PairKeys], list[str], list[Finding]]:
    """Pairs in path order, the names that are no factor, and as findings halves and second
    spellings."""
    factors: dict[str, dict[str, str]] = {}
    others: list[str] = []
    found: list[Finding] = []
    for name in names:
        parsed = _parse(name, mlx)
        if parsed is None:
            others.append(name)
            continue
        path, factor = parsed
        twin = factors.setdefault(path, {}).setdefault(factor, name)
        if twin != name:
            found.append(finding("duplicate_module", "tensor", name, f"also as {twin}"))
    pairs = []
    for path in sorted(factors, key=_natural):
        present = factors[path]
        if present.keys() == {"a", "b"}:
            pairs.append(PairKeys(path, present["a"], present["b"], transposed=mlx))
        else:
            (name,) = present.values()
            found.append(finding("unpaired_tensor", "tensor", name))
    return pairs, others, found


def is_mlx_file(names: Iterable[str]) -> bool:
    """What the tensors' names say of the format, where the config says nothing."""
    return any(name.endswith(tuple(MLX_FACTORS)) for name in names)


def no_factor(name: str, detail: str = "") -> Finding:
    """The finding on a tensor that is no factor of a LoRA."""
    return finding(_code_of(name), "tensor", name, detail)


def _natural(path: str) -> list[tuple[int, str]]:
    """Layer 2 before layer 10, by the count of digits: they may be more than an int may have."""
    return [(len(p) if p.isdecimal() else 0, p) for p in path.split(".")]


def resolve(
    pairs: Iterable[PairKeys], modules: Iterable[str], left_out: Mapping[str, str]
) -> tuple[dict[str, str], list[Finding]]:
    """Module path → the alignment's name of it: exact, else with or without a model prefix.

    A weight that is left out counts too: `score` is not `model.score` where the pair has both.
    """
    known = set(modules)
    resolved: dict[str, str] = {}
    found: list[Finding] = []
    for pair in pairs:
        candidates = [n for n in spellings(pair.path) if n in known or n in left_out]
        if not known.intersection(candidates):
            found.append(_not_in_alignment(pair, left_out))
        elif len(candidates) == 1:
            resolved[pair.path] = candidates[0]
        else:
            detail = ", ".join(candidates)
            found.append(finding("ambiguous_module", "tensor", pair.b, detail))
    return resolved, found + _taken_twice(pairs, resolved) + _mixed(pairs, resolved)


def _taken_twice(pairs: Iterable[PairKeys], resolved: Mapping[str, str]) -> list[Finding]:
    first: dict[str, str] = {}
    found = []
    for pair in pairs:
        name = resolved.get(pair.path)
        if name is None:
            continue
        twin = first.setdefault(name, pair.path)
        if twin != pair.path:
            found.append(finding("duplicate_module", "tensor", pair.b, f"same module as {twin}"))
    return found


def _mixed(pairs: Iterable[PairKeys], resolved: Mapping[str, str]) -> list[Finding]:
    """No model has some modules with the prefix and some without: a reader would find a part."""
    added = {
        pair: _prefix(pair.path, resolved[pair.path]) for pair in pairs if pair.path in resolved
    }
    if len(set(added.values())) <= 1:
        return []
    usual, _ = Counter(added.values()).most_common(1)[0]
    return [
        finding("mixed_prefixes", "tensor", pair.b, f"{resolved[pair.path]} in the alignment")
        for pair, prefix in added.items()
        if prefix != usual
    ]


def _prefix(path: str, name: str) -> tuple[str, str]:
    """What the path has in front that the alignment's name has not, and the other way round."""
    longer = len(path) - len(name)
    return (path[:longer], "") if longer > 0 else ("", name[:-longer])


def _not_in_alignment(pair: PairKeys, left_out: Mapping[str, str]) -> Finding:
    reason = next((left_out[s] for s in spellings(pair.path) if s in left_out), "")
    codes = {"embedding": "embedding_lora", "router": "router_lora"}
    return finding(codes.get(reason, "module_not_in_alignment"), "tensor", pair.b, reason)


def _parse(name: str, mlx: bool) -> tuple[str, str] | None:
    """(module path, factor) of a name that is one of the known spellings of a factor."""
    factors, prefix = (MLX_FACTORS, "") if mlx else (FACTORS, PEFT_PREFIX)
    for suffix, factor in factors.items():
        if name.endswith(suffix):
            path = name.removesuffix(suffix).removeprefix(prefix)
            return (path, factor) if MODULE_PATH.match(path) else None
    return None


def _code_of(name: str) -> str:
    """The finding code of a name that is no factor."""
    if ".modules_to_save." in name:
        return "modules_to_save"
    if "lora_embedding_" in name:
        return "embedding_lora"
    if "lora_magnitude_vector" in name or name.endswith(".m"):
        return "dora"
    if name.endswith(".bias"):
        return "bias_update"
    if name.endswith(".weight") and "lora_" not in name:
        return "base_overwrite"
    return "unknown_tensor"
