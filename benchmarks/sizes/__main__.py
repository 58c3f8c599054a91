"""`python -m benchmarks.sizes > docs/sizes.md`: some seconds, no weights, no network."""

import math
import sys
import tempfile
from pathlib import Path

from benchmarks.sizes.headers import write_headers
from benchmarks.sizes.models import MODELS, Model
from core.alignments import DEFAULT_RANK
from core.settings import AlignmentSettings
from worker.alignment.dry_run import table
from worker.alignment.pair import Pair
from worker.alignment.plan import plan

MEMORY_GIB = AlignmentSettings().ram_bytes // 2**30
DISK_GIB = AlignmentSettings().disk_bytes // 2**30
INTRODUCTION = f"""\
# What an alignment takes, by model

Written by `python -m benchmarks.sizes`, which makes checkpoints of the right shapes that hold no
weights, and asks of each what `safelora-gate align NAME --base … --aligned … --dry-run` prints. For
a pair of your own ask that: it reads headers alone. Bytes are exact. Seconds follow from the rates
below each table, which are estimates and not measurements.

- V is stored in 16 bits where that loses under 0.2 % of it, which is so for most pairs of 16-bit
  checkpoints; in 32 with `"dtype": "float32"`.
- *Memory* is `SAFELORA_ALIGNMENTS__RAM_BYTES`, {MEMORY_GIB} GiB a process unless it is set: it has
  what earlier jobs loaded, if there was room. Give it what a job loads, and only the first one
  takes longer than the row *from memory* says.
- *Disk* is `SAFELORA_ALIGNMENTS__CACHE`, {DISK_GIB} GiB unless `__DISK_BYTES` is set: its files as
  they are touched first.
- *Redis* and *store* are for a machine that has nothing yet. Each file is fetched once, then lies
  on the disk. Redis takes no value over 512 MiB, so the largest files always come from the store.
- An adapter on a few blocks, or of other modules, loads its own share alone.
"""


def section(model: Model) -> str:
    """The model's heading, its size, and its table."""
    with tempfile.TemporaryDirectory() as folder:
        shards = write_headers(Path(folder), model)
        with Pair(Path(folder), Path(folder)) as pair:  # headers have no two sides
            text = table(plan(pair, DEFAULT_RANK))
    count = sum(math.prod(shape) for _, shape in model.weights())
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    return f"\n## {model.name}\n\n{count:,} parameters in {shards} files.\n\n{indented}"


def page() -> str:
    return INTRODUCTION + "".join(map(section, MODELS))


if __name__ == "__main__":
    sys.stdout.write(page())
