"""What this machine has for a worker: `python -m worker doctor`, as JSON on stdout."""

import json
import sys
from pathlib import Path

import torch

from core.exit_codes import DONE
from core.settings import Settings
from worker.projection import native
from worker.workshop import choose_device

MEMORY = Path("/proc/meminfo")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))


def run_process(settings: Settings) -> int:
    """Raises `SettingsInvalid` where there is no such device."""
    device = choose_device(settings.worker.device)
    free, total = _memory(device)
    facts = {
        "torch": torch.__version__,
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": settings.worker.threads or torch.get_num_threads(),
        "products": native.describe(),
        "compiled": native.can(pairs=False),
        "memory_free": free,
        "memory_total": total,
    }
    sys.stdout.write(f"{json.dumps(facts)}\n")
    return DONE


def _memory(device: torch.device) -> tuple[int | None, int | None]:
    """Bytes that are free and that there are; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    try:
        lines = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    except OSError:
        return None, None
    free, total = (int(lines[name].split()[0]) * 2**10 for name in ("MemAvailable", "MemTotal"))
    try:
        limit, used = (int(path.read_text()) for path in LIMITS)
    except (OSError, ValueError):  # no limit: the file is not there, or says max
        return free, total
    return min(free, limit - used), min(total, limit)
