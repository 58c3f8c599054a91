"""What an alignment's bytes cost at the least: read, hashed or fetched, and nothing else done."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from redis import Redis

from core.store import layout
from core.store.base import ObjectStore
from worker.alignment.naming import digest_of_file
from worker.alignment.tiers.redis import PIECE

CHUNK = 2**20


def read_files(paths: Sequence[Path]) -> None:
    """Every byte once, one file after the other."""
    buffer = bytearray(CHUNK)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def hash_files(paths: Sequence[Path]) -> None:
    """Their BLAKE3, with all cores."""
    _on_all_cores(_hash_file, paths)


def forget_files(paths: Sequence[Path]) -> None:
    """Take them out of the page cache, so that the disk is read."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fetch_from_redis(url: str, digests: Sequence[str]) -> None:
    """Every value once, over one connection."""
    with Redis.from_url(url) as client:
        for digest in digests:
            key = f"safelora:shard:{digest}"
            for start in range(0, int(client.strlen(key)), PIECE):
                client.getrange(key, start, start + PIECE - 1)


def fetch_from_store(store: ObjectStore, alignment_id: str, files: Sequence[str]) -> None:
    """Every object once, over one connection."""
    for name in files:
        with store.open(layout.alignment(alignment_id, name)) as stream:
            while stream.read(CHUNK):
                pass


def _hash_file(path: Path) -> None:
    with path.open("rb") as file:
        digest_of_file(file)


def _on_all_cores(work: Callable[[Path], None], paths: Sequence[Path]) -> None:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(work, path) for path in paths]:
            done.result()
