"""The gate: an upload becomes an adapter of known pairs, or is rejected with every finding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.errors import AdapterRejected
from core.findings import Finding, finding, refusals
from core.policy import Caps
from core.safetensors_header import TensorInfo
from worker.adapter.config import AdapterConfig, read_config
from worker.adapter.files import file_facts, missing_files, other_files, read_header
from worker.adapter.keys import PairKeys, pair_keys, resolve
from worker.adapter.model import (
    Adapter,
    AdapterFiles,
    LoraModule,
    common_rank_and_alpha,
)
from worker.adapter.patterns import is_unambiguous, value_for
from worker.alignment.source import AlignmentSource

SPARE_PATTERNS = 1000  # keys that fit no module; each key is held against each module


@dataclass(frozen=True)
class Examined:
    """An upload whose files, config, names and shapes are understood; no tensor is read yet.

    `resolved` maps each pair's path to the alignment's name of the module.
    """

    files: AdapterFiles
    config: AdapterConfig
    pairs: tuple[PairKeys, ...]
    resolved: Mapping[str, str]
    notes: tuple[Finding, ...]


def examine(
    files: AdapterFiles, alignment: AlignmentSource, caps: Caps, base_names: tuple[str, ...]
) -> Examined:
    """Judge all that can be judged without reading a tensor.

    Raises `AdapterRejected` with everything that was found, not only the first.
    """
    found = other_files(files.other_names) + missing_files(files)
    if refusals(found):
        raise AdapterRejected(found)
    config, config_findings = read_config(files.config.read_bytes())
    found += config_findings
    tensors, header_findings = read_header(files.model, caps)
    found += header_findings
    pairs: list[PairKeys] = []
    resolved: dict[str, str] = {}
    if tensors:
        pairs, key_findings = pair_keys(tensors)
        resolved, alignment_findings = resolve(pairs, alignment.shapes, alignment.left_out)
        found += key_findings + alignment_findings
        found += _shapes(pairs, tensors, resolved, alignment, caps)
    if config is not None:
        found += _config_fits(config, [p for p in pairs if p.path in resolved], tensors)
        found += _base_name(config, base_names)
    if config is None or refusals(found):
        raise AdapterRejected(found)
    return Examined(files, config, tuple(pairs), resolved, tuple(found))


def load_adapter(examined: Examined) -> Adapter:
    """Read the tensors of an examined upload. Raises `AdapterRejected` for NaN and infinities."""
    try:
        modules, found = _load(examined)
    except SafetensorError as error:
        invalid = finding("header_invalid", "file", examined.files.model.name, str(error))
        raise AdapterRejected([*examined.notes, invalid]) from error
    if found:
        raise AdapterRejected([*examined.notes, *found])
    files, config = examined.files, examined.config
    return Adapter(
        modules=tuple(modules),
        use_rslora=config.use_rslora,
        task_type=config.task_type,
        base_name=config.base_name,
        files=tuple(file_facts(path) for path in (files.model, files.config)),
        notes=examined.notes,
    )


def _shapes(
    pairs: list[PairKeys],
    tensors: dict[str, TensorInfo],
    resolved: dict[str, str],
    alignment: AlignmentSource,
    caps: Caps,
) -> list[Finding]:
    """A is (r, in) and B (out, r), with the pair's out and in, and r within the cap."""
    found = []
    for pair in pairs:
        a, b = tensors[pair.a].shape, tensors[pair.b].shape
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or a[0] == 0:
            detail = f"lora_A {list(a)} and lora_B {list(b)} make no product"
            found.append(finding("shape_mismatch", "tensor", pair.b, detail))
            continue
        if a[0] > caps.rank:
            found.append(finding("rank_over_cap", "tensor", pair.a, f"{a[0]}, cap {caps.rank}"))
        if pair.path not in resolved:
            continue
        shape = alignment.shapes[resolved[pair.path]]
        if a[1] != shape.in_features:
            detail = f"shape {list(a)}, expected [r, {shape.in_features}]"
            found.append(finding("shape_mismatch", "tensor", pair.a, detail))
        if b[0] != shape.out_features:
            detail = f"shape {list(b)}, expected [{shape.out_features}, r]"
            found.append(finding("shape_mismatch", "tensor", pair.b, detail))
    return found


def _config_fits(
    config: AdapterConfig, pairs: list[PairKeys], tensors: dict[str, TensorInfo]
) -> list[Finding]:
    """Patterns have one meaning for this adapter's modules, and ranks agree with the tensors."""
    paths = [pair.path for pair in pairs]
    by_name = {"rank_pattern": config.rank_pattern, "alpha_pattern": config.alpha_pattern}
    flooded = [
        finding("field_invalid", "field", name, f"{len(patterns)} keys for {len(paths)} modules")
        for name, patterns in by_name.items()
        if len(patterns) > len(paths) + SPARE_PATTERNS
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
        shape = tensors[pair.a].shape
        stated = value_for(pair.path, config.rank_pattern, config.rank)
        if len(shape) == 2 and shape[0] != stated:
            detail = f"rank {shape[0]} in the tensor, {stated} in the config"
            found.append(finding("rank_mismatch", "tensor", pair.a, detail))
    return found


def _load(examined: Examined) -> tuple[list[LoraModule], list[Finding]]:
    config = examined.config
    modules, found = [], []
    with safe_open(examined.files.model, framework="pt") as file:
        for pair in examined.pairs:
            a, b = file.get_tensor(pair.a), file.get_tensor(pair.b)
            found += [
                finding("non_finite", "tensor", name)
                for name, tensor in ((pair.a, a), (pair.b, b))
                if not _is_finite(tensor)
            ]
            alpha = value_for(pair.path, config.alpha_pattern, config.alpha)
            scaling = config.scaling(int(a.shape[0]), alpha)
            name = examined.resolved[pair.path]
            modules.append(LoraModule(pair.path, name, alpha, scaling, a, b))
    return _as_served(modules, config), found


def _as_served(modules: list[LoraModule], config: AdapterConfig) -> list[LoraModule]:
    """Each with the scaling of a reader that knows one rank and one alpha for all of them."""
    scaling = config.scaling(*common_rank_and_alpha(modules))
    return [replace(module, unpatterned_scaling=scaling) for module in modules]


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _base_name(config: AdapterConfig, base_names: tuple[str, ...]) -> list[Finding]:
    if config.base_name is None or not base_names or config.base_name in base_names:
        return []
    detail = f"{config.base_name[:200]!r}; registered: {', '.join(base_names)}"
    return [finding("base_name_differs", "field", "base_model_name_or_path", detail)]
