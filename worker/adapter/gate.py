"""The gate: an upload becomes an adapter of known pairs, or is rejected with every finding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from safetensors import SafetensorError, safe_open

from core.errors import AdapterRejected
from core.findings import Finding, finding, refusals
from core.handling import under_policy
from core.policy import Policy
from core.report import FileFacts
from worker.adapter.base_copies import base_copies
from worker.adapter.config import read_config
from worker.adapter.files import file_facts, missing_files, other_files, over_caps, read_header
from worker.adapter.fit import config_fits, shapes_fit, unlike_patterns
from worker.adapter.keys import PairKeys, is_mlx_file, no_factor, pair_keys, resolve
from worker.adapter.model import (
    Adapter,
    AdapterConfig,
    AdapterFiles,
    LoraModule,
    common_rank_and_alpha,
)
from worker.adapter.patterns import value_for
from worker.adapter.scan import Scan, scan_tensors
from worker.alignment.source import AlignmentSource


@dataclass(frozen=True)
class Examined:
    """An upload that is understood in full; what is no pair was refused, or left out by policy.

    `pairs` are those to be judged, `resolved` maps each one's path to the alignment's name of it.
    """

    files: AdapterFiles
    config: AdapterConfig
    pairs: tuple[PairKeys, ...]
    resolved: Mapping[str, str]
    facts: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]


def examine(
    files: AdapterFiles, alignment: AlignmentSource, policy: Policy, base_names: tuple[str, ...]
) -> Examined:
    """Judge all of the upload but the update itself, in one pass over its bytes.

    Raises `AdapterRejected` with everything that was found, not only the first; where a file is
    missing or its header unreadable, with what can be told without it.
    """
    found = other_files(files.other_names)
    if missing := missing_files(files):
        raise AdapterRejected(under_policy(found + missing, policy))
    config, config_findings = read_config(files.config.read_bytes())
    header, header_findings = read_header(files.model)
    unreadable = header_findings + over_caps(header, files.model, policy.caps)
    found += config_findings + unreadable
    if unreadable:  # naming each tensor would only flood the report
        raise AdapterRejected(under_policy(found, policy))

    mlx = is_mlx_file(header.tensors) if config is None else config.mlx
    pairs, others, key_findings = pair_keys(header.tensors, mlx=mlx)
    resolved, alignment_findings = resolve(pairs, alignment.shapes, alignment.left_out)
    judged = [pair for pair in pairs if pair.path in resolved]
    found += key_findings + alignment_findings
    found += shapes_fit(judged, header.tensors, resolved, alignment, policy.caps)
    if config is not None:
        found += config_fits(config, judged, header.tensors)
        found += _base_name(config, base_names)

    copies = base_copies(others, header.tensors, alignment)
    factors = {name for pair in judged for name in (pair.a, pair.b)}
    scan = scan_tensors(files.model, header, finite=factors, digests=copies)
    found += [_extra(name, copies.get(name), scan) for name in others]
    found += [finding("non_finite", "tensor", name) for name in sorted(scan.non_finite)]

    found = _settled(found, policy)
    if config is None or not judged:
        nothing_left = finding("no_lora_pairs", "file", files.model.name)
        raise AdapterRejected([*found, nothing_left])
    facts = (scan.facts, file_facts(files.config))
    return Examined(files, config, tuple(judged), resolved, facts, tuple(found))


def _settled(found: list[Finding], policy: Policy) -> list[Finding]:
    """Each with what the policy makes of it. Raises `AdapterRejected` if one is refused."""
    settled = under_policy(found, policy)
    if refusals(settled):
        raise AdapterRejected(settled)
    return settled


def _extra(name: str, expected: str | None, scan: Scan) -> Finding:
    """A tensor that is no factor: harmless only as a copy of the aligned model's own weight."""
    if expected is None:
        return no_factor(name)
    if scan.sha256[name] == expected:
        return finding("base_copy_dropped", "tensor", name)
    return no_factor(name, "it differs from the aligned model's weight of this name")


def load_adapter(examined: Examined) -> Adapter:
    """Read the tensors of an examined upload. Raises `AdapterRejected`."""
    try:
        modules = _load(examined)
    except SafetensorError as error:
        invalid = finding("header_invalid", "file", examined.files.model.name, str(error))
        raise AdapterRejected([*examined.findings, invalid]) from error
    config = examined.config
    return Adapter(
        modules=tuple(modules),
        use_rslora=config.use_rslora,
        task_type=config.task_type,
        base_name=config.base_name,
        files=examined.facts,
        findings=(*examined.findings, *unlike_patterns(modules)),
    )


def _load(examined: Examined) -> list[LoraModule]:
    config = examined.config
    modules = []
    with safe_open(examined.files.model, framework="pt") as file:
        for pair in examined.pairs:
            a, b = file.get_tensor(pair.a), file.get_tensor(pair.b)
            if pair.transposed:
                a, b = a.T.contiguous(), b.T.contiguous()
            alpha = value_for(pair.path, config.alpha_pattern, config.alpha)
            scaling = config.scaling(int(a.shape[0]), alpha)
            name = examined.resolved[pair.path]
            modules.append(LoraModule(pair.path, name, alpha, scaling, a, b))
    return _as_served(modules, config)


def _as_served(modules: Sequence[LoraModule], config: AdapterConfig) -> list[LoraModule]:
    """Each with the scaling of a reader that knows one rank and one alpha for all of them."""
    scaling = config.scaling(*common_rank_and_alpha(modules))
    return [replace(module, unpatterned_scaling=scaling) for module in modules]


def _base_name(config: AdapterConfig, base_names: tuple[str, ...]) -> list[Finding]:
    if config.base_name is None or not base_names or config.base_name in base_names:
        return []
    detail = f"{config.base_name[:200]!r}; registered: {', '.join(base_names)}"
    return [finding("base_name_differs", "field", "base_model_name_or_path", detail)]
