"""Adapter archives, opened with distrust.

Every name, kind and size is checked before a byte is kept, and only the two files of an adapter
are ever written. What is wrong raises `Unprocessable` with a code that begins with `archive_`.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from core.archives.members import MAX_MEMBERS, Budget, Member, refusal, shown
from core.archives.names import Names
from core.archives.streams import metered, recognise
from core.archives.tars import tar_members
from core.archives.zips import zip_members
from core.store.layout import INPUT_FILES

__all__ = [
    "MAX_MEMBERS",
    "MOST_SHRUNK",
    "SMALL",
    "SUFFIXES",
    "Unpacked",
    "UnpackedFile",
    "unpack",
]


SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
"""How the name of an archive ends."""

SMALL = 16 * 2**20
MOST_SHRUNK = 100
"""An archive unpacks to so many times its own bytes at most, or to `SMALL`: weights shrink to a
half or a third, and what unpacks to more is sent to fill the disk."""


@dataclass(frozen=True)
class UnpackedFile:
    """One file of the adapter as it now lies on disk."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Unpacked:
    """`files` by canonical name; `other_names` were seen and not written: the gate judges them."""

    files: dict[str, UnpackedFile] = field(default_factory=dict)
    other_names: list[str] = field(default_factory=list)


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> Unpacked:
    """Write the adapter's files of a .zip, .tar, .tar.gz or .tar.zst into `folder`.

    The format is told by the first bytes, never by the name. `max_bytes`, and the archive's own
    size, bound what the members claim and what they really hold. Raises `Unprocessable`.
    """
    most = min(max_bytes, max(SMALL, MOST_SHRUNK * archive.stat().st_size))
    with archive.open("rb") as file, _members(file, most) as members:
        return _keep(members, folder, Budget(most))


@contextmanager
def _members(file: BinaryIO, max_bytes: int) -> Iterator[Iterator[Member]]:
    kind = recognise(file)
    if kind == "zip":
        with zip_members(file) as members:
            yield members
    else:
        yield tar_members(metered(file, kind, max_bytes))


def _keep(members: Iterator[Member], folder: Path, budget: Budget) -> Unpacked:
    names = Names()
    unpacked = Unpacked()
    for member in members:
        name = names.admit(member.name, folder=member.folder)
        if name is None:
            continue
        budget.claim(member.size, member.name)
        if name in INPUT_FILES:
            unpacked.files[name] = _write(member, folder / name, budget)
        else:
            unpacked.other_names.append(name)
    if not (unpacked.files or unpacked.other_names):
        raise refusal("archive_empty", "the archive holds no files: put the adapter's files in it")
    return unpacked


def _write(member: Member, path: Path, budget: Budget) -> UnpackedFile:
    digest = hashlib.sha256()
    size = 0
    with path.open("xb") as file:
        for chunk in member.chunks():
            size += len(chunk)
            budget.spend(len(chunk), member.name)
            digest.update(chunk)
            file.write(chunk)
    if size != member.size:
        raise refusal(
            "archive_unreadable",
            f"{shown(member.name)} claims {member.size} bytes and holds {size}: pack it again",
            member.name,
        )
    return UnpackedFile(path, size, digest.hexdigest())
