"""Do shapes, config and the alignment say the same of the pairs?"""

from collections.abc import Mapping, Sequence

from core.findings import Finding, finding
from core.policy import Caps
from core.safetensors_header import TensorInfo
from worker.adapter.keys import PairKeys
from worker.adapter.model import AdapterConfig, LoraModule
from worker.adapter.patterns import is_unambiguous, value_for
from worker.alignment.source import AlignmentSource

SPARE_PATTERNS = 1000  # keys that fit no module
MAX_MATCHES = 1_000_000  # each key is held against each module, as PEFT runs it over each


def shapes_fit(
    pairs: Sequence[PairKeys],
    tensors: Mapping[str, TensorInfo],
    resolved: Mapping[str, str],
    alignment: AlignmentSource,
    caps: Caps,
) -> list[Finding]:
    """A is (r, in) and B (out, r), with the pair's out and in, and r within the cap."""
    found = []
    for pair in pairs:
        a, b = _factor_shapes(pair, tensors)
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or a[0] == 0:
            detail = f"lora_A {list(a)} and lora_B {list(b)} make no product"
            found.append(finding("shape_mismatch", "tensor", pair.b, detail))
            continue
        if a[0] > caps.rank:
            found.append(finding("rank_over_cap", "tensor", pair.a, f"{a[0]}, cap {caps.rank}"))
        shape = alignment.shapes[resolved[pair.path]]
        if a[1] != shape.in_features:
            detail = f"shape {list(a)}, expected [r, {shape.in_features}]"
            found.append(finding("shape_mismatch", "tensor", pair.a, detail))
        if b[0] != shape.out_features:
            detail = f"shape {list(b)}, expected [{shape.out_features}, r]"
            found.append(finding("shape_mismatch", "tensor", pair.b, detail))
    return found


def config_fits(
    config: AdapterConfig, pairs: Sequence[PairKeys], tensors: Mapping[str, TensorInfo]
) -> list[Finding]:
    """Patterns have one meaning for this adapter's modules, and ranks agree with the tensors."""
    paths = [pair.path for pair in pairs]
    by_name = {"rank_pattern": config.rank_pattern, "alpha_pattern": config.alpha_pattern}
    flooded = [
        finding("field_invalid", "field", name, f"{len(patterns)} keys for {len(paths)} modules")
        for name, patterns in by_name.items()
        if len(patterns) > len(paths) + SPARE_PATTERNS or len(patterns) * len(paths) > MAX_MATCHES
    ]
    if flooded:
        return flooded
    found = [
        finding("pattern_not_literal", "field", name, f"key {key!r} fits more than it says")
        for name, patterns in by_name.items()
        for key in patterns
        if not is_unambiguous(key, paths)
    ]
    for pair in pairs:
        shape, _ = _factor_shapes(pair, tensors)
        stated = value_for(pair.path, config.rank_pattern, config.rank)
        if len(shape) == 2 and shape[0] != stated:
            detail = f"rank {shape[0]} in the tensor, {stated} in the config"
            found.append(finding("rank_mismatch", "tensor", pair.a, detail))
    return found


def unlike_patterns(modules: Sequence[LoraModule]) -> list[Finding]:
    """A note if a reader that ignores the patterns would scale some module otherwise."""
    unlike = [m for m in modules if m.scaling != m.unpatterned_scaling]
    if not unlike:
        return []
    detail = f"{len(unlike)} of {len(modules)} modules, {unlike[0].path} for one"
    return [finding("scale_by_pattern", "field", "alpha_pattern", detail)]


def _factor_shapes(
    pair: PairKeys, tensors: Mapping[str, TensorInfo]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of A as (r, in) and B as (out, r), whichever way they lie in the file."""
    a, b = tensors[pair.a].shape, tensors[pair.b].shape
    return (a[::-1], b[::-1]) if pair.transposed else (a, b)
