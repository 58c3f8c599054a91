"""What an alignment of two checkpoints would take, from their headers alone: no weight is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.safetensors_header import DTYPE_BYTES
from worker.alignment.checkpoint import HEADS
from worker.alignment.pair import Pair
from worker.alignment.tiers.redis import LARGEST

SPECTRUM_BYTES = 4  # U and Z are float32 whatever V is
ATTENTION = frozenset(
    {"q_proj", "v_proj", "q", "v", "query", "value", "c_attn", "query_key_value", "qkv_proj"}
)  # where most adapters sit: PEFT's defaults, and the fused layers that hold the two


@dataclass(frozen=True)
class Stored:
    """Bytes of some modules' files without their headers, V in one width; `past_redis` of them lie
    in files that are too large for the Redis tier."""

    v: int
    spectrum: int
    past_redis: int

    @property
    def total(self) -> int:
        return self.v + self.spectrum


@dataclass(frozen=True)
class Load:
    """What some modules take, with V in 16 bits and in 32."""

    modules: int
    narrow: Stored
    wide: Stored


@dataclass(frozen=True)
class Plan:
    """`attention`: the modules of a q/v adapter; `linear`: all but the head, as PEFT's
    "all-linear". `reads`: the modules of both models, and the aligned one's other tensors, for
    digests."""

    whole: Load
    attention: Load
    linear: Load
    largest: Load
    reads: int
    rank: int


def plan(pair: Pair, rank: int) -> Plan:
    """What `build_alignment` would read and write for this pair."""
    names = list(pair.shapes)
    weights = [model.weights[name] for model in (pair.base, pair.aligned) for name in names]
    needed = sum(w.shape[0] * w.shape[1] * DTYPE_BYTES[w.dtype] for w in weights)
    unread = {f"{module}.weight" for module in pair.not_asked_for}
    others = pair.aligned.tensors.keys() - unread - {f"{name}.weight" for name in names}
    digested = sum(
        pair.aligned.tensors[key].end - pair.aligned.tensors[key].start for key in others
    )
    return Plan(
        whole=_load(pair, names, rank),
        attention=_load(pair, [n for n in names if n.rpartition(".")[2] in ATTENTION], rank),
        linear=_load(pair, [n for n in names if n.rpartition(".")[2] not in HEADS], rank),
        largest=max((_load(pair, [name], rank) for name in names), key=lambda one: one.wide.total),
        reads=needed + digested,
        rank=rank,
    )


def _load(pair: Pair, names: Iterable[str], rank: int) -> Load:
    shapes = [pair.shapes[name] for name in names]
    elements = [s.out_features * s.in_features for s in shapes]
    spectra = [
        SPECTRUM_BYTES * min(rank, s.out_features, s.in_features) * (s.out_features + s.in_features)
        for s in shapes
    ]
    narrow, wide = (_stored([width * n for n in elements], spectra) for width in (2, 4))
    return Load(len(shapes), narrow, wide)


def _stored(v: Sequence[int], spectra: Sequence[int]) -> Stored:
    past_redis = sum(size for size in (*v, *spectra) if size >= LARGEST)  # a header comes on top
    return Stored(sum(v), sum(spectra), past_redis)
