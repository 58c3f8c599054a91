"""This machine's folders: may they be written, is there room, are they on a disk at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.doctor.check import Check, failed, gib, ok, warning
from core.settings import Settings

MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = {"tmpfs", "ramfs"}


def disk_checks(settings: Settings) -> Iterator[Check]:
    alignments = settings.alignments
    yield folder_check("scratch", settings.scratch, settings.limits.upload, "SAFELORA_SCRATCH")
    wanted = alignments.disk_bytes - _size(alignments.cache)
    variable = "SAFELORA_ALIGNMENTS__CACHE"
    yield folder_check("alignments' disk", alignments.cache, wanted, variable)
    if settings.store.kind == "local":
        needed = settings.limits.upload
        yield folder_check("store folder", settings.store.path, needed, "SAFELORA_STORE__PATH")


def folder_check(name: str, folder: Path, wanted: int, variable: str) -> Check:
    """`wanted`: how many bytes it may come to take yet."""
    there = _there(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-"):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        found = f"{folder}: cannot be written: {error.strerror}"
        return failed(name, found, f"let the service write there, or set {variable}")
    kind = filesystem(there)
    found = f"{folder}: {gib(free)} free{f' on {kind}' if kind else ''}"
    if kind in _IN_MEMORY:
        do = f"set {variable} to a folder on a disk: what lies there takes memory"
        return warning(name, found, do)
    if free < wanted:
        return warning(
            name, f"{found}, {gib(wanted)} may be needed", f"make room, or set {variable}"
        )
    return ok(name, found)


def filesystem(folder: Path) -> str:
    """Its type, where the kernel tells; else empty."""
    best, kind = "", ""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return kind
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split()[4].replace("\\040", " ")
        if folder.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind


def _there(folder: Path) -> Path:
    """It, or what is there of the way to it: it is made at first use."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists()).resolve()


def _size(folder: Path) -> int:
    return sum(
        (Path(parent) / name).stat().st_size
        for parent, _, names in os.walk(folder)
        for name in names
        if (Path(parent) / name).is_file()
    )
