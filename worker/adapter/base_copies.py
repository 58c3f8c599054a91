"""Base weights that PEFT saves beside a LoRA: harmless if equal to the aligned model's own."""

from collections.abc import Iterable, Mapping

from core.alignments import WeightDigest
from core.safetensors_header import TensorInfo
from worker.adapter.keys import MODULE_PATH, PEFT_PREFIX, spellings
from worker.alignment.source import AlignmentSource

_WRAPPED = ".base_layer"


def base_copies(
    names: Iterable[str], tensors: Mapping[str, TensorInfo], alignment: AlignmentSource
) -> dict[str, WeightDigest]:
    """Tensor name → the aligned weight it must equal bit for bit, for each that could.

    Not where the name fits two weights, with and without the base-model prefix.
    """
    found = {}
    for name in names:
        digest = _weight_meant(name, alignment)
        info = tensors[name]
        if digest and (digest.dtype, digest.shape) == (info.dtype, list(info.shape)):
            found[name] = digest
    return found


def _weight_meant(name: str, alignment: AlignmentSource) -> WeightDigest | None:
    path, dot, kind = name.removeprefix(PEFT_PREFIX).rpartition(".")
    path = path.removesuffix(_WRAPPED)
    if not dot or kind not in ("weight", "bias") or not MODULE_PATH.match(path):
        return None
    known = [alignment.weight_digest(f"{spelling}.{kind}") for spelling in spellings(path)]
    digests = [digest for digest in known if digest is not None]
    return digests[0] if len(digests) == 1 else None
