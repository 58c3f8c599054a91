"""What a build is held against: reading, hashing and writing the same bytes, and nothing else."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from worker.alignment.checkpoint_files import CheckpointFiles
from worker.alignment.pair import Pair
from worker.alignment.tensors import CHUNK, StoredTensor, chunks

Needed = list[tuple[CheckpointFiles, StoredTensor]]


def needed(pair: Pair) -> Needed:
    """Both weights of every module, and the aligned model's tensors that are of no module, whose
    digests the alignment has too."""
    modules = [
        (model.files, model.weights[name].tensor)
        for model in (pair.base, pair.aligned)
        for name in pair.shapes
    ]
    linear = {facts.tensor.key for facts in pair.aligned.weights.values()}
    others = [tensor for key, tensor in pair.aligned.tensors.items() if key not in linear]
    return modules + [(pair.aligned.files, tensor) for tensor in others]


def size(tensors: Needed) -> int:
    return sum(tensor.end - tensor.start for _, tensor in tensors)


def forget(folders: Iterable[Path]) -> None:
    """Take the files out of the page cache, so that the disk is read."""
    for folder in folders:
        for path in folder.iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_seconds(pair: Pair) -> float:
    """Every needed byte once, in the order in which it lies on the disk."""
    ordered = sorted(needed(pair), key=lambda one: (one[0].place, one[1].file, one[1].start))
    start = time.perf_counter()
    for files, tensor in ordered:
        for _ in chunks(files, tensor):
            pass
    return time.perf_counter() - start


def hash_seconds(count: int) -> float:
    """SHA-256 of that many bytes in memory, on one core."""
    buffer = os.urandom(CHUNK)
    sha256 = hashlib.sha256()
    start = time.perf_counter()
    for _ in range(count // len(buffer)):
        sha256.update(buffer)
    return time.perf_counter() - start


def write_seconds(folder: Path, sizes: Iterable[int]) -> float:
    """Files of these sizes, each on the disk before the next one is begun."""
    folder.mkdir()
    buffer = os.urandom(CHUNK)
    start = time.perf_counter()
    for number, count in enumerate(sizes):
        with (folder / str(number)).open("wb", buffering=0) as file:
            for begin in range(0, count, CHUNK):
                file.write(buffer[: min(CHUNK, count - begin)])
            os.fsync(file.fileno())
    return time.perf_counter() - start
