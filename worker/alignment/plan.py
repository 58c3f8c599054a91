"""What an alignment of two checkpoints would take, from their headers alone: no weight is read."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.alignments import DEFAULT_RANK
from core.errors import AlignmentError
from core.safetensors_header import DTYPE_BYTES
from worker.alignment.pair import Pair

DONE, FAILED, WRONG_ARGUMENTS = 0, 1, 2
GIGABYTE = 10**9
SPECTRUM_BYTES = 4  # U and Z are float32 whatever V is
ATTENTION = frozenset(
    {"q_proj", "v_proj", "q", "v", "query", "value", "c_attn", "query_key_value", "qkv_proj"}
)  # where most adapters sit: PEFT's defaults, and the fused layers that hold the two


@dataclass(frozen=True)
class Load:
    """Bytes of some modules' files without their headers, by the width that V is stored in."""

    modules: int
    v16: int
    v32: int
    spectrum: int

    @property
    def all16(self) -> int:
        return self.v16 + self.spectrum

    @property
    def all32(self) -> int:
        return self.v32 + self.spectrum


@dataclass(frozen=True)
class Plan:
    """`reads`: the modules of both models, and once more the aligned model's files, for digests."""

    whole: Load
    attention: Load
    largest: Load
    reads: int
    rank: int

    def seconds(self, written: int) -> float:
        """The build at 1 GB/s, reading and writing."""
        return (self.reads + written) / GIGABYTE


def plan(pair: Pair, rank: int) -> Plan:
    """What `build_alignment` would read and write for this pair."""
    names = list(pair.shapes)
    weights = [model.weights[name] for model in (pair.base, pair.aligned) for name in names]
    needed = sum(w.shape[0] * w.shape[1] * DTYPE_BYTES[w.dtype] for w in weights)
    files = {facts.file for facts in pair.aligned.weights.values()}
    return Plan(
        whole=_load(pair, names, rank),
        attention=_load(pair, [n for n in names if n.rpartition(".")[2] in ATTENTION], rank),
        largest=max((_load(pair, [name], rank) for name in names), key=lambda load: load.all32),
        reads=needed + sum(file.stat().st_size for file in files),
        rank=rank,
    )


def _load(pair: Pair, names: Iterable[str], rank: int) -> Load:
    shapes = [pair.shapes[name] for name in names]
    elements = sum(s.out_features * s.in_features for s in shapes)
    directions = sum(
        min(rank, s.out_features, s.in_features) * (s.out_features + s.in_features) for s in shapes
    )
    return Load(len(shapes), 2 * elements, 4 * elements, SPECTRUM_BYTES * directions)


def table(plan: Plan) -> str:
    """For a terminal: a row each for what is stored, loaded, and done."""
    whole, some, one = plan.whole, plan.attention, plan.largest
    rows = [
        (f"{whole.modules} modules, V stored in", "16 bits", "32 bits"),
        ("V", _size(whole.v16), _size(whole.v32)),
        (f"U and Z, {plan.rank} directions", _size(whole.spectrum), _size(whole.spectrum)),
        ("store, disk, Redis: all of it", _size(whole.all16), _size(whole.all32)),
        ("largest module", _size(one.all16), _size(one.all32)),
        (
            f"a job on q and v loads {some.modules} modules",
            _size(some.all16),
            _size(some.all32),
        ),
        ("build reads", _size(plan.reads), _size(plan.reads)),
        (
            "build takes at 1 GB/s",
            f"{plan.seconds(whole.all16):,.0f} s",
            f"{plan.seconds(whole.all32):,.0f} s",
        ),
    ]
    return "".join(f"{what:<40}{narrow:>14}{wide:>14}\n" for what, narrow, wide in rows)


def _size(count: int) -> str:
    if count < GIGABYTE:
        return f"{count / 10**6:,.2f} MB"
    return f"{count / GIGABYTE:,.2f} GB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; the exit code: 0 done, 1 an unusable pair, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m worker.alignment.plan", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--aligned", type=Path, required=True, help="folder of the aligned model")
    parser.add_argument("--module", action="append", help="name suffix of modules to take")
    parser.add_argument("--rank", type=int, default=DEFAULT_RANK, help="directions to store")
    parsed = parser.parse_args(arguments)
    for folder in (parsed.base, parsed.aligned):
        if not folder.is_dir():
            sys.stderr.write(f"{folder} is no folder on this machine: a dry run reads headers\n")
            return WRONG_ARGUMENTS
    try:
        with Pair(parsed.base, parsed.aligned, modules=parsed.module) as pair:
            sys.stdout.write(table(plan(pair, parsed.rank)))
    except AlignmentError as error:
        sys.stderr.write(f"error [{error.code}]: {error.message}\n")
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
