"""Signs that a registered pair is not the one that the operator meant."""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.alignments import Manifest, ModuleEntry, PairWarning
from core.canonical import parse_json_strictly
from core.errors import AlignmentError, StoreError
from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.pair import Pair
from worker.alignment.tensors import read_small

# How far apart two models may be, as ‖V‖_F / ‖W_aligned‖_F. Post-training stays under 0.13 for
# Qwen2.5, Llama-3, Mistral and Gemma-2 (the workshop paper "Block-Level Weight-Space Structure
# Persists Under Post-Training", 2026) and moves the pair of tests/real by 0.009. A sibling trained
# apart has a cosine of 0.64 there, which makes 0.85; two unrelated models are at the root of 2.
# Halfway between .13 and .85, as a factor, lies 0.33.
FAR_APART = 0.33
MODULE_FAR_APART = 0.8  # one alone may move several times as far as all together

NAMED = 3  # modules that a message lists

CHAT_WORDS = frozenset({"chat", "instruct", "instruction", "it", "sft", "dpo", "rlhf", "aligned"})
BASE_WORDS = frozenset({"base", "pt", "pretrained", "unaligned"})
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_CONFIG_LIMIT = 2**24  # bytes; the largest ones list added tokens in under a megabyte

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Looks:
    """Which of the two checkpoints looks like a chat model, and which like a base model."""

    swapped: list[str]
    right: list[str]


def pair_warnings(pair: Pair, manifest: Manifest) -> list[PairWarning]:
    """All that is odd about the pair that `manifest` was built from; usually nothing."""
    return [
        *module_warnings(manifest.modules),
        *swap_warnings(pair.base.files, pair.aligned.files),
    ]


def module_warnings(modules: Sequence[ModuleEntry]) -> list[PairWarning]:
    """What the norms of V and W_aligned say."""
    return [*_far_apart(modules), *_identical(modules)]


def swap_warnings(base: CheckpointFiles, aligned: CheckpointFiles) -> list[PairWarning]:
    """`pair_swapped` where what is known points one way only, and it is the wrong one."""
    looks = _looks(base, aligned)
    if looks.right or not looks.swapped:
        return []
    return [
        PairWarning(
            code="pair_swapped",
            message=f"base and aligned look swapped: {' and '.join(looks.swapped)}. Projections"
            " would stay as they are, but `signed` and `undo` change sign, so an adapter that"
            " undoes the alignment would read as one that adds to it. If they are swapped, delete"
            " the name and register the pair the other way round",
        )
    ]


def _far_apart(modules: Sequence[ModuleEntry]) -> list[PairWarning]:
    norm = math.hypot(*(module.norm for module in modules))
    whole = _ratio(norm, math.hypot(*(module.aligned_norm for module in modules)))
    ratios = {module.name: _ratio(module.norm, module.aligned_norm) for module in modules}
    far = sorted((n for n in ratios if ratios[n] > MODULE_FAR_APART), key=lambda n: -ratios[n])
    if whole > FAR_APART:
        message = (
            f"the two models differ by {whole:.2f} of the aligned one's norm, where alignment moves"
            " a model by a few hundredths and unrelated models differ by 1.41: check that base is"
            " the checkpoint that the aligned model was trained from"
        )
    elif far:
        worst = ", ".join(f"{name} ({ratios[name]:.2f})" for name in far[:NAMED])
        message = (
            f"{len(far)} of {len(modules)} modules differ by more than {MODULE_FAR_APART} of their"
            f" norm, all together by {whole:.2f}; the worst: {worst}. Check that nothing replaced"
            " these weights in one of the two checkpoints"
        )
    else:
        return []
    return [PairWarning(code="pair_far_apart", message=message)]


def _ratio(norm: float, aligned_norm: float) -> float:
    if norm == 0.0:
        return 0.0
    return norm / aligned_norm if aligned_norm else math.inf


def _identical(modules: Sequence[ModuleEntry]) -> list[PairWarning]:
    names = [module.name for module in modules if module.norm == 0.0]
    if not names:
        return []
    some = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return [
        PairWarning(
            code="modules_identical",
            message=f"{len(names)} of {len(modules)} modules are equal in both models ({some}):"
            " adapters that touch them are refused by default (no_alignment_signal)",
        )
    ]


def _looks(base: CheckpointFiles, aligned: CheckpointFiles) -> _Looks:
    """By names and chat templates. A generation_config.json says nothing: base models have it."""
    base_words, aligned_words = _words(base.place), _words(aligned.place)
    base_only, aligned_only = base_words - aligned_words, aligned_words - base_words
    swapped = [f'the base\'s name says "{word}"' for word in sorted(base_only & CHAT_WORDS)]
    swapped += [f'the aligned one\'s name says "{w}"' for w in sorted(aligned_only & BASE_WORDS)]
    right = sorted((base_only & BASE_WORDS) | (aligned_only & CHAT_WORDS))
    base_chats, aligned_chats = _has_chat_template(base), _has_chat_template(aligned)
    if base_chats and aligned_chats is False:
        swapped.append("only the base has a chat template")
    if aligned_chats and base_chats is False:
        right.append("chat template")
    return _Looks(swapped, right)


def _words(place: str) -> set[str]:
    """Of the model's own name: the folders above it are named for teams and mounts."""
    name = place.rstrip("/").rpartition("/")[2].partition("@")[0]
    return set(re.split(r"[^a-z]+", name.lower()))


def _has_chat_template(files: CheckpointFiles) -> bool | None:
    """None where that cannot be known: the files that say it are not needed for a build."""
    if any(name in files.sizes for name in TEMPLATE_FILES):
        return True
    if TOKENIZER_CONFIG not in files.sizes:
        return None
    try:
        config = parse_json_strictly(read_small(files, TOKENIZER_CONFIG, TOKENIZER_CONFIG_LIMIT))
    except (AlignmentError, StoreError, OSError, ValueError) as error:  # no reason to build anew
        _log.warning("%s of %s tells nothing: %s", TOKENIZER_CONFIG, files.place, error)
        return None
    return bool(config.get("chat_template")) if isinstance(config, dict) else None
