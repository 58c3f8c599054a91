"""`safelora-gate align --dry-run`: the plan of an alignment as a table, bytes and seconds."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from core.alignments import DEFAULT_RANK
from core.errors import AlignmentError
from core.exit_codes import DONE, FAILED, WRONG_ARGUMENTS
from worker.alignment.pair import Pair
from worker.alignment.plan import Load, Plan, Stored, plan

TIERS: Final = ("memory", "disk", "Redis", "store")
GIGABYTE = 10**9

# Bytes a second. Estimates for one worker on a server of today, to compare tiers and models by:
# memory of a few busy cores, one NVMe drive, a network of 10 Gbit/s with what Redis and an object
# store make of it. Measure yours where it matters.
MEMORY = 20.0 * GIGABYTE
DISK = 2.0 * GIGABYTE
HASH = 3.5 * GIGABYTE  # BLAKE3, one core with AVX-512
REDIS = 0.5 * GIGABYTE
STORE = 0.25 * GIGABYTE
BUILD = 1.0 * GIGABYTE  # reading checkpoints and writing the alignment

FOOT = f"""\
in GB/s: memory {MEMORY / GIGABYTE:g}, V read twice; disk {DISK / GIGABYTE:g}; \
BLAKE3 {HASH / GIGABYTE:g}, of all that enters memory;
Redis {REDIS / GIGABYTE:g}, store {STORE / GIGABYTE:g}, both on the way to the disk. \
Arithmetic is not counted.
"""


def job_seconds(stored: Stored) -> dict[str, float]:
    """Of a job on these modules, by the nearest tier that has them.

    The products are bound by memory. Before the first of them a file is hashed as the kernel reads
    it ahead, which takes as long as the slower of the two; what came over the network lies in the
    page cache by then. What is too large for Redis comes from the store.
    """
    products = 2 * stored.v / MEMORY
    hashed = stored.total / HASH
    from_redis = (stored.total - stored.past_redis) / REDIS + stored.past_redis / STORE
    return {
        "memory": products,
        "disk": products + stored.total / min(DISK, HASH),
        "Redis": products + hashed + from_redis,
        "store": products + hashed + stored.total / STORE,
    }


def build_seconds(plan: Plan, stored: Stored) -> float:
    return (plan.reads + stored.total) / BUILD


def table(plan: Plan) -> str:
    """A row each for what is stored, loaded, and done; the rates at its foot."""
    whole = plan.whole
    lines = [
        _line(f"{whole.modules} modules, V stored in", "16 bits", "32 bits"),
        _row("V", whole, lambda s: _size(s.v)),
        _row(f"U and Z, {plan.rank} directions", whole, lambda s: _size(s.spectrum)),
        _row("store, disk, memory: all of it", whole, lambda s: _size(s.total)),
        _row("Redis: files up to 512 MiB", whole, lambda s: _size(s.total - s.past_redis)),
        _row("largest module", plan.largest, lambda s: _size(s.total)),
        _row("build reads", whole, lambda _: _size(plan.reads)),
        _row("build takes at 1 GB/s", whole, lambda s: _seconds(build_seconds(plan, s))),
        *_job("q and v", plan.attention),
        *_job("all-linear", plan.linear),
    ]
    return "".join(lines) + FOOT


def _job(what: str, load: Load) -> list[str]:
    """Nothing where no module is of that kind."""
    if not load.modules:
        return []
    return [
        _row(f"a job on {what}: {load.modules} modules", load, lambda s: _size(s.total)),
        _row("    with a method that needs no V", load, lambda s: _size(s.spectrum)),
        *(_row(f"    from {tier}", load, partial(_from, tier)) for tier in TIERS),
    ]


def _from(tier: str, stored: Stored) -> str:
    return _seconds(job_seconds(stored)[tier])


def _row(what: str, load: Load, shown: Callable[[Stored], str]) -> str:
    return _line(what, shown(load.narrow), shown(load.wide))


def _line(what: str, narrow: str, wide: str) -> str:
    return f"{what:<46}{narrow:>14}{wide:>14}\n"


def _size(count: int) -> str:
    if count < GIGABYTE:
        return f"{count / 10**6:,.2f} MB"
    return f"{count / GIGABYTE:,.2f} GB"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:,.1f} ms"
    return f"{seconds:,.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; the exit code: 0 done, 1 an unusable pair, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m worker.alignment.dry_run", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--aligned", type=Path, required=True, help="folder of the aligned model")
    parser.add_argument("--module", action="append", help="name suffix of modules to take")
    parser.add_argument("--rank", type=int, default=DEFAULT_RANK, help="directions to store")
    parser.add_argument("--json", action="store_true", help="print the plan, in bytes, as JSON")
    parsed = parser.parse_args(arguments)
    for folder in (parsed.base, parsed.aligned):
        if not folder.is_dir():
            sys.stderr.write(f"{folder} is no folder on this machine: a dry run reads headers\n")
            return WRONG_ARGUMENTS
    try:
        with Pair(parsed.base, parsed.aligned, modules=parsed.module) as pair:
            planned = plan(pair, parsed.rank)
    except AlignmentError as error:
        sys.stderr.write(f"error [{error.code}]: {error.message}\n")
        return FAILED
    sys.stdout.write(
        f"{json.dumps(asdict(planned), indent=1)}\n" if parsed.json else table(planned)
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
