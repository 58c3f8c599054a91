"""The machine that figures come from, and what it can do at most."""

import os
import platform
from pathlib import Path

import torch

from benchmarks.figures.clock import Work

READ_BYTES = 2**30


def facts() -> dict[str, str]:
    """What a reader needs to compare figures with their own."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def reading_memory() -> tuple[Work, int]:
    """Something that reads as many bytes once, with all threads, and keeps nothing; how many.

    A maximum of integers needs no arithmetic to speak of: what it takes is the memory's. They are
    random, for a hypervisor may keep pages that are alike once, and caches then hold them.
    """
    data = torch.randint(2**31 - 1, (READ_BYTES // 4,), dtype=torch.int32)
    return data.max, READ_BYTES


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
