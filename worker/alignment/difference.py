"""V = W_aligned - W_base of one module, in one pass over the bytes of the two weights.

Neither weight is ever whole in memory, and V only in the dtype that it is stored in.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.alignments import Dtype, DtypeRule
from core.errors import AlignmentError
from core.safetensors_header import DTYPE_BYTES
from worker.alignment.checkpoint import Checkpoint
from worker.alignment.naming import Blake3, digest_of, shard_name
from worker.alignment.tensors import StoredTensor, chunks
from worker.safetensors_file import (
    TORCH_DTYPES,
    safetensors_header,
    safetensors_parts,
    tensor_bytes,
)

BLOCK_ELEMENTS = 2**17  # what is done to a block finds it in the processor's cache
STORAGE_LOSS_LIMIT = 2e-3  # ‖V - V16‖_F / ‖V‖_F up to which 16 bits are stored


@dataclass(frozen=True)
class Difference:
    """V (out, in) as stored, `loss` ‖V - V stored‖_F / ‖V‖_F, `norm` ‖V stored‖_F, `aligned_norm`
    ‖W_aligned‖_F. `shard`: the name of V's file, by its digest; `aligned_sha256` is that of the
    aligned weight's bytes."""

    v: Tensor
    dtype: Dtype
    loss: float
    norm: float
    aligned_norm: float
    shard: str
    aligned_sha256: str


class Room:
    """Memory that one module after the other is made in: asking the system for it each time would
    cost more than the arithmetic. Its V is there until the next one is made."""

    def __init__(self) -> None:
        self.precise = torch.empty(BLOCK_ELEMENTS)
        self._wide = torch.empty(BLOCK_ELEMENTS, dtype=torch.float64)
        self._v = torch.empty(0, dtype=torch.uint8)

    def v(self, elements: int, dtype: torch.dtype) -> Tensor:
        """Room for V (elements,), with anything in it."""
        size = elements * dtype.itemsize
        if size > len(self._v):
            self._v = torch.empty(size, dtype=torch.uint8)
        return self._v[:size].view(dtype)

    def squared(self, block: Tensor) -> float:
        """‖block‖_F²."""
        wide = self._wide[: len(block)].copy_(block)
        return float(torch.dot(wide, wide))


def difference(
    aligned: Checkpoint, base: Checkpoint, module: str, rule: DtypeRule, room: Room
) -> Difference:
    """In the first dtype that loses little enough: most often the first that is tried.

    Raises `AlignmentError`: `checkpoint_non_finite`, or for bytes that cannot be read.
    """
    ours, theirs = aligned.weights[module], base.weights[module]
    for dtype in _sixteen_bits(rule, {ours.dtype, theirs.dtype}):
        made = _subtract(aligned, ours.tensor, base, theirs.tensor, dtype, room)
        if made.loss <= STORAGE_LOSS_LIMIT:
            break
    else:
        made = _subtract(aligned, ours.tensor, base, theirs.tensor, "F32", room)
    return _turned(made) if ours.conv1d else made


def _sixteen_bits(rule: DtypeRule, dtypes: set[str]) -> list[Dtype]:
    """A difference of two 16-bit weights is exact in their own dtype where they lie within a factor
    of two (Sterbenz), so that one is tried first."""
    if rule == "float32":
        return []
    return ["BF16", "F16"] if dtypes == {"BF16"} else ["F16", "BF16"]


def _subtract(
    aligned: Checkpoint,
    ours: StoredTensor,
    base: Checkpoint,
    theirs: StoredTensor,
    dtype: Dtype,
    room: Room,
) -> Difference:
    """V in the shape that the checkpoint holds it in. Sums in float64."""
    v = room.v(math.prod(ours.shape), TORCH_DTYPES[dtype])
    weight_hash = hashlib.sha256()
    file_hash = Blake3()
    file_hash.update(safetensors_header({"v": (v.dtype, ours.shape)}, {}))
    weight, exact, stored, lost = 0.0, 0.0, 0.0, 0.0
    parts = torch.split(v, BLOCK_ELEMENTS)
    pairs = zip(_blocks(aligned, ours), _blocks(base, theirs), parts, strict=True)
    for one, other, part in pairs:
        weight_hash.update(tensor_bytes(one))
        weight += room.squared(one)
        precise = room.precise[: len(one)].copy_(one).sub_(other)  # in float32
        exact += room.squared(precise)
        file_hash.update(tensor_bytes(part.copy_(precise)))
        stored += room.squared(part)
        lost += room.squared(precise.sub_(part))
    for place, tensor, total in ((aligned, ours, weight), (base, theirs, exact)):
        if not math.isfinite(total):  # one NaN or infinity makes the sum one
            raise AlignmentError(
                f"{tensor.key} in {tensor.file} of {place.files.place} holds NaN or infinities: the"
                " checkpoint is damaged, fetch it again",
                code="checkpoint_non_finite",
            )
    return Difference(
        v=v.reshape(ours.shape),
        dtype=dtype,
        loss=math.sqrt(lost / exact) if exact else 0.0,
        norm=math.sqrt(stored),
        aligned_norm=math.sqrt(weight),
        shard=shard_name(file_hash.hexdigest()),
        aligned_sha256=weight_hash.hexdigest(),
    )


def _turned(made: Difference) -> Difference:
    """(in, out) as Conv1D holds it → (out, in)."""
    v = made.v.T.contiguous()
    shard = shard_name(digest_of(safetensors_parts({"v": v}, {})))
    return replace(made, v=v, shard=shard)


def _blocks(checkpoint: Checkpoint, tensor: StoredTensor) -> Iterator[Tensor]:
    """The tensor's elements in order, each block good until the next is asked for."""
    size = BLOCK_ELEMENTS * DTYPE_BYTES[tensor.dtype]
    for chunk in chunks(checkpoint.files, tensor, size):
        yield torch.frombuffer(chunk, dtype=TORCH_DTYPES[tensor.dtype])
