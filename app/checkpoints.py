"""The folders a pair of checkpoints may be registered from."""

import re
from pathlib import Path

from core.errors import Forbidden, Unprocessable
from core.settings import AlignmentSettings

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def checkpoint_folder(text: str, field: str, settings: AlignmentSettings) -> str:
    """The folder with every link resolved, so that what was allowed is what will be read.

    Raises `Unprocessable` (`not_available`, `source_not_found`) or `Forbidden`
    (`source_not_allowed`): a folder outside the roots is refused whether it exists or not.
    """
    if _SCHEME.match(text):
        raise Unprocessable(
            f"{field} can only be a folder in this version: give its path on the gate's machine",
            code="not_available",
            field=field,
        )
    folder = _resolved(text)
    roots = [root.resolve() for root in settings.roots]
    if folder is None or not any(folder.is_relative_to(root) for root in roots):
        raise Forbidden(
            f"{field} is not an absolute path under an allowed root: ask the operator to allow its"
            " folder (SAFELORA_ALIGNMENTS__ROOTS)",
            code="source_not_allowed",
            field=field,
        )
    if not folder.is_dir():
        raise Unprocessable(
            f"{field} is no folder: check its path on the gate's machine",
            code="source_not_found",
            field=field,
        )
    return str(folder)


def _resolved(text: str) -> Path | None:
    path = Path(text)
    if "\0" in text or not path.is_absolute():
        return None
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a name too long, links in a circle
        return None
