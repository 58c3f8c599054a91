"""What an alignment's files are named by: BLAKE3 of their bytes, without which none is read.

SHA-256 binds as well, but a processor's core makes of it a GB and a half a second: less than disks
read. BLAKE3 is two to three times as fast (https://github.com/BLAKE3-team/BLAKE3-specs).
"""

from collections.abc import Iterable
from typing import BinaryIO

from blake3 import blake3

CHUNK = 2**20
_SUFFIX = ".safetensors"


def new_digest() -> blake3:
    """Of nothing yet. In the thread at hand: modules are read side by side already."""
    return blake3(max_threads=1)


def digest_of(parts: Iterable[bytes | memoryview]) -> str:
    """That (hex) of a file of these parts."""
    digest = new_digest()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_of_file(file: BinaryIO) -> str:
    """That of all that is left to read."""
    return digest_of(iter(lambda: file.read(CHUNK), b""))


def shard_name(digest: str) -> str:
    return f"{digest}{_SUFFIX}"


def shard_digest(filename: str) -> str | None:
    """What the file is named by, None for the manifest."""
    return filename.removesuffix(_SUFFIX) if filename.endswith(_SUFFIX) else None
