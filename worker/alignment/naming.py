"""What an alignment's files are named by: a digest of their bytes, without which none is read.

SHA-256 binds as well as BLAKE3, but a processor's core makes of it less than two GB a second, which
disks read. BLAKE3 is two to three times as fast (https://github.com/BLAKE3-team/BLAKE3-specs).
A digest that begins with no name is the SHA-256 that alignments made before were named by.
"""

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from blake3 import blake3

from core.store.files import Digest

CHUNK = 2**20
_BLAKE3 = "blake3-"
_SUFFIX = ".safetensors"


class Blake3:
    """BLAKE3 of what it is given, in the thread at hand: shards are read side by side already."""

    def __init__(self) -> None:
        self._hash = blake3(max_threads=1)

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def hexdigest(self) -> str:
        return f"{_BLAKE3}{self._hash.hexdigest()}"


def digest_like(digest: str) -> Digest:
    """Of nothing yet, to be compared with `digest` in the end."""
    return Blake3() if digest.startswith(_BLAKE3) else hashlib.sha256()


def digest_of(parts: Iterable[bytes | memoryview], digest: Digest | None = None) -> str:
    """That of a file of these parts: its BLAKE3, or what `digest` makes of it."""
    digest = digest or Blake3()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_of_file(file: BinaryIO) -> str:
    """BLAKE3 of all that is left to read."""
    return digest_of(iter(lambda: file.read(CHUNK), b""))


def shard_name(digest: str) -> str:
    return f"{digest}{_SUFFIX}"


def shard_digest(filename: str) -> str | None:
    """What the file is named by, None for the manifest."""
    return filename.removesuffix(_SUFFIX) if filename.endswith(_SUFFIX) else None
