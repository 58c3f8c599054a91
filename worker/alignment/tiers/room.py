"""The bound on what the disk tier holds, over all alignments in its folder."""

import contextlib
import os
import time
from pathlib import Path
from typing import BinaryIO

from worker.alignment.tiers.lock import try_locked

LEFT_BEHIND_SECONDS = 24 * 3600  # no fetch of one file takes as long


def mark_used(file: BinaryIO) -> None:
    """Now is its turn to be dropped last. The kernel's own access times are often off or coarse."""
    now = time.time_ns()
    os.utime(file.fileno(), ns=(now, now))


def remove_unfinished(cache: Path) -> None:
    """Remove what killed processes were fetching, and their locks. Raises `OSError`."""
    for path in cache.glob("[!.]*/*.lock"):
        with try_locked(path) as held:
            if held:
                name = path.name.removesuffix(".lock")
                partial_of(path.with_name(name)).unlink(missing_ok=True)


def partial_of(target: Path) -> Path:
    """What a file is called while it is fetched."""
    return target.with_name(f".{target.name}.part")


def used_bytes(cache: Path) -> int:
    """What all files in it take."""
    used = 0
    for path in cache.glob("[!.]*/*"):
        with contextlib.suppress(FileNotFoundError):  # another worker makes room
            used += path.stat().st_size
    return used


def make_room(cache: Path, capacity: int, *, keep: Path | None = None) -> None:
    """Drop shards, least recently used first, until all files take `capacity` bytes at most.

    Never `keep`, nor what is being written; so these may go past the bound. A dropped file that is
    mapped takes its room until it is let go of. Manifests stay: they are small.
    """
    shards: list[tuple[int, int, Path]] = []
    used = 0
    for path in cache.glob("[!.]*/*"):
        with contextlib.suppress(FileNotFoundError):  # another worker makes room too
            status = path.stat()
            used += status.st_size
            if path.suffix == ".safetensors" and path != keep:
                shards.append((status.st_mtime_ns, status.st_size, path))
            elif path.name.startswith(".") and time.time() - status.st_mtime > LEFT_BEHIND_SECONDS:
                path.unlink()  # a killed process was writing it
    for _, size, path in sorted(shards):
        if used <= capacity:
            return
        path.unlink(missing_ok=True)
        used -= size
