"""The machine that figures come from, and what it can do at most."""

import os
import platform
from pathlib import Path

import torch

from benchmarks.figures.clock import Work

READ_BYTES = 2**30
CPU = torch.device("cpu")


def facts(device: torch.device = CPU) -> dict[str, str]:
    """What a reader needs to compare figures with their own."""
    return {
        **_of_gpu(device),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def reading_memory(device: torch.device = CPU, size: int = READ_BYTES) -> tuple[Work, int]:
    """Something that reads `size` bytes once, with all threads, and keeps nothing; how many.

    A maximum of integers needs no arithmetic to speak of: what it takes is the memory's. They are
    random, for a hypervisor may keep pages that are alike once, and caches then hold them.
    """
    data = _random(size // 4, device)
    return data.max, size


def copying_memory(device: torch.device = CPU, size: int = READ_BYTES) -> tuple[Work, int]:
    """Something that copies half of `size` bytes to the other half; bytes read and written."""
    data = _random(size // 4, device).view(2, -1)
    return lambda: data[1].copy_(data[0]), size


def _random(count: int, device: torch.device) -> torch.Tensor:
    return torch.randint(2**31 - 1, (count,), dtype=torch.int32, device=device)


def _of_gpu(device: torch.device) -> dict[str, str]:
    if device.type != "cuda":
        return {}
    card = torch.cuda.get_device_properties(device)
    return {
        "gpu": card.name,
        "gpu memory": f"{card.total_memory / 2**30:.0f} GiB",
        "cuda": torch.version.cuda or "-",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
