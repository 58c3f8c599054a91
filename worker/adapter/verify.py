"""Read back what was written and compare products: what lies on disk is what was decided."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from core.errors import EngineError
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from worker.adapter.config import read_config
from worker.adapter.files import read_header
from worker.adapter.keys import canonical_key
from worker.adapter.model import AdapterConfig
from worker.adapter.patterns import is_unambiguous, value_for
from worker.adapter.write import CAST_LOSS_LIMIT, Written
from worker.projection.update import Update, difference_norm, is_near, product_norm


def verify_written(folder: Path, written: Sequence[Written]) -> int:
    """How many modules were compared: all of them. Raises `EngineError` for any that differs."""
    config, findings = read_config((folder / ADAPTER_CONFIG).read_bytes())
    if config is None or findings:
        raise EngineError(
            "the config written would not pass the gate: "
            + ", ".join(f"{f.subject} {f.detail}" for f in findings),
            code="verification_failed",
        )
    header, unsound = read_header(folder / ADAPTER_MODEL)
    if unsound or not header.tensors:
        raise EngineError(
            "the weights written would not pass the gate: "
            + ", ".join(f"{f.subject} {f.detail}" for f in unsound),
            code="verification_failed",
        )
    _check_patterns(config, [w.module.path for w in written])
    with safe_open(folder / ADAPTER_MODEL, framework="pt") as file:
        expected = {canonical_key(w.module.path, f) for w in written for f in ("a", "b")}
        if set(file.keys()) != expected:
            raise EngineError("the file written holds other tensors", code="verification_failed")
        for w in written:
            path = w.module.path
            rank = int(value_for(path, config.rank_pattern, config.rank))
            alpha = value_for(path, config.alpha_pattern, config.alpha)
            if config.scaling(rank, alpha) != w.module.scaling:
                raise EngineError(
                    f"{path}: another scaling was written", code="verification_failed"
                )
            read = Update(
                file.get_tensor(canonical_key(path, "b")), file.get_tensor(canonical_key(path, "a"))
            )
            _compare(w, read)
    return len(written)


def _check_patterns(config: AdapterConfig, paths: Sequence[str]) -> None:
    """PEFT will run the keys as regular expressions: they must pick what they say, and no more."""
    for key in (*config.rank_pattern, *config.alpha_pattern):
        if not is_unambiguous(key, paths):
            raise EngineError(
                f"the pattern {key} would reach another module too", code="verification_failed"
            )


def _compare(w: Written, read: Update) -> None:
    """Bit for bit what was handed to the writer, and the product that was decided on."""
    same = torch.equal(read.b, w.b) and torch.equal(read.a, w.a)
    if same and w.b is w.wanted.b and w.a is w.wanted.a:
        return
    norm = product_norm(w.wanted)
    if not same or not is_near(read, w.wanted, CAST_LOSS_LIMIT * norm):
        off = difference_norm(read, w.wanted)
        raise EngineError(
            f"{w.module.path}: the product read back differs by {off:.3g} of {norm:.3g}:"
            " nothing was published; check the disk and run the job again",
            code="verification_failed",
        )
