"""The files beside an attestation: are they those that are attested, and is there nothing else?"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from core.attestation.refused import NotVerified, Problem
from core.findings import printable
from core.report import FileFacts
from core.store.layout import ATTESTATION, REPORT_HTML, REPORT_JSON

UNREAD: Final = frozenset({ATTESTATION, REPORT_HTML, "safelora.json", "timings.json"})
_CHUNK = 1 << 20


def read_small(folder: Path, name: str, limit: int) -> bytes:
    """A plain file of the folder, `limit` bytes and one more at most. Raises `NotVerified`."""
    descriptor = _opened(folder, name)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (it is open already)
        return file.read(limit + 1)


def check_files(
    folder: Path, attested: Mapping[str, FileFacts], allowed: Collection[str]
) -> Iterator[Problem]:
    """What is wrong with the folder; nothing is if it yields nothing. Raises `OSError`.

    report.json may be missing; any other attested file must be there, and nothing else may be but
    what no loader reads (`UNREAD`) and what is `allowed` by name.
    """
    known = {name.casefold() for name in (*attested, ATTESTATION)}
    present = sorted(os.listdir(folder))  # noqa: PTH208  (names, not paths)
    for name in present:
        if name not in attested:
            yield from _stranger(folder, name, known, allowed)
    for name, facts in attested.items():
        if name not in present and name == REPORT_JSON:
            continue
        try:
            _check_file(folder, facts)
        except NotVerified as error:
            yield error.problem


def _stranger(
    folder: Path, name: str, known: Collection[str], allowed: Collection[str]
) -> Iterator[Problem]:
    shown = printable(name)
    if name not in UNREAD and name not in allowed:
        if name.casefold() in known:
            why = "but for upper and lower case it has the name of an attested file: remove it"
            yield Problem(code="case_variant", subject=shown, message=why)
        else:
            why = "it is not attested, and a loader might read it: remove it, or --allow its name"
            yield Problem(code="file_not_attested", subject=shown, message=why)
        return
    try:
        os.close(_opened(folder, name))
    except NotVerified as error:
        yield error.problem


def _check_file(folder: Path, facts: FileFacts) -> None:
    descriptor = _opened(folder, facts.name)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  (it is open already)
        size = os.fstat(descriptor).st_size
        if size != facts.size:
            raise NotVerified(
                "size_differs",
                f"it has {size} bytes, attested are {facts.size}",
                subject=facts.name,
            )
        digest, left = hashlib.sha256(), facts.size + 1
        while left and (chunk := file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    if digest.hexdigest() != facts.sha256:
        raise NotVerified(
            "digest_differs", "its bytes are not those that are attested", subject=facts.name
        )


def _opened(folder: Path, name: str) -> int:
    """The descriptor of a plain file that has no other name. Raises `NotVerified`."""
    shown = printable(name)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no pipe may hold us up
    path = folder / name
    try:
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            raise NotVerified("symlink", "it is a link to another file: copy that", subject=shown)
        if not stat.S_ISREG(facts.st_mode):
            raise NotVerified("not_a_file", "it is no plain file: remove it", subject=shown)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise NotVerified("file_missing", "it is not there", subject=shown) from None
    except OSError as error:
        raise NotVerified(
            "file_unreadable", f"it cannot be read: {error.strerror}", subject=shown
        ) from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(descriptor)
        code = "hard_link" if stat.S_ISREG(facts.st_mode) else "not_a_file"
        why = "it has another name, by which it can be changed unseen: copy it"
        raise NotVerified(code, why, subject=shown)
    return descriptor
