"""Base weights that PEFT saves beside a LoRA: harmless if equal to the aligned model's own."""

from collections.abc import Iterable, Mapping

from core.module_names import spellings
from core.safetensors_header import TensorInfo
from worker.adapter.keys import MODULE_PATH, PEFT_PREFIX
from worker.alignment.source import AlignmentSource

_WRAPPED = ".base_layer"


def base_copies(
    names: Iterable[str], tensors: Mapping[str, TensorInfo], alignment: AlignmentSource
) -> dict[str, str]:
    """Tensor name → the SHA-256 of the aligned weight it must equal, for each that could.

    Not where dtype or shape differ, nor where the name fits two weights, with and without the
    base-model prefix.
    """
    found = {}
    for name in names:
        info, meant = tensors[name], _weights_meant(name, alignment)
        if len(meant) == 1 and alignment.weight_kind(meant[0]) == (info.dtype, info.shape):
            found[name] = alignment.weight_sha256(meant[0])
    return found


def _weights_meant(name: str, alignment: AlignmentSource) -> list[str]:
    path, dot, kind = name.removeprefix(PEFT_PREFIX).rpartition(".")
    path = path.removesuffix(_WRAPPED)
    if not dot or kind not in ("weight", "bias") or not MODULE_PATH.match(path):
        return []
    candidates = [f"{spelling}.{kind}" for spelling in spellings(path)]
    return [weight for weight in candidates if alignment.weight_kind(weight) is not None]
