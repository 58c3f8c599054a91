"""Which member names are accepted: plain ones, at the root or under one common folder."""

import re
import unicodedata

from core.archives.members import refusal, shown
from core.errors import Unprocessable

_MAX_LENGTH = 255
_DRIVE = re.compile(r"^[A-Za-z]:")


class Names:
    """The names of one archive, in their order; each is admitted once."""

    def __init__(self) -> None:
        self._top: str | None = None
        self._seen: set[str] = set()

    def admit(self, path: str, *, folder: bool) -> str | None:
        """The file's name without the top folder; None for a folder, or what systems leave behind.

        Raises `Unprocessable`: `archive_unsafe_path`, `archive_nested` or `archive_duplicate`.
        """
        segments = _segments(path, folder=folder)
        if _is_litter(segments):
            return None
        top, name = self._split(path, segments, folder=folder)
        if self._top is None:
            self._top = top
        elif self._top != top:
            raise _nested(path)
        if name is None:
            return None
        self._claim(path, name)
        return name

    def _split(self, path: str, segments: list[str], *, folder: bool) -> tuple[str, str | None]:
        match segments, folder:
            case [top], True:
                return top, None
            case [name], False:
                return "", name
            case [top, name], False:
                return top, name
            case _:
                raise _nested(path)

    def _claim(self, path: str, name: str) -> None:
        """Two names that some file system takes for one would hide a file behind another."""
        same = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if same in self._seen:
            raise refusal(
                "archive_duplicate",
                f"{shown(path)} is in the archive twice, or differs from another member in case or"
                " accents only: keep one of them",
                path,
            )
        self._seen.add(same)


def _segments(path: str, *, folder: bool) -> list[str]:
    """The path in pieces, without the `./` that tar puts in front; none for the root itself."""
    if len(path) > _MAX_LENGTH:
        raise _unsafe(path, f"is longer than {_MAX_LENGTH} characters")
    if not path.isprintable() or "\\" in path:
        raise _unsafe(path, "holds a backslash, a control character or half a character")
    if path.startswith("/") or _DRIVE.match(path):
        raise _unsafe(path, "is absolute")
    segments = path.split("/")
    if folder and segments[-1] == "":
        segments.pop()
    if segments and segments[0] == ".":
        segments.pop(0)
    if any(segment in ("", ".", "..") for segment in segments) or not (segments or folder):
        raise _unsafe(path, "has an empty segment, '.' or '..'")
    return segments


def _is_litter(segments: list[str]) -> bool:
    """The root itself, and what macOS leaves in archives."""
    if not segments:
        return True
    name = segments[-1]
    return segments[0] == "__MACOSX" or name == ".DS_Store" or name.startswith("._")


def _unsafe(path: str, why: str) -> Unprocessable:
    return refusal(
        "archive_unsafe_path",
        f"the member name {shown(path)} {why}: pack the files with plain relative names",
        path,
    )


def _nested(path: str) -> Unprocessable:
    return refusal(
        "archive_nested",
        f"{shown(path)} is not beside the others: pack the adapter's files at the root of the"
        " archive or in one folder",
        path,
    )
