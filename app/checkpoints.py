"""The places a pair of checkpoints may be registered from."""

from pathlib import Path

from core.checkpoint_places import allowed_place
from core.errors import Unprocessable
from core.settings import Settings


def checkpoint_place(text: str, field: str, settings: Settings) -> str:
    """The place in its one spelling: a folder with every link resolved, `s3://bucket/prefix/`, or
    `hf://org/name@revision`. What lies in S3 or on a hub is asked by the worker alone.

    Raises `Unprocessable` (`source_invalid`; `source_not_found` for a folder) or `Forbidden`
    (`source_not_allowed`): what is not allowed is refused whether it exists or not.
    """
    place = allowed_place(text, field, settings.alignments, settings.store)
    if isinstance(place, Path) and not place.is_dir():
        raise Unprocessable(
            f"{field} is no folder: check its path on the gate's machine",
            code="source_not_found",
            field=field,
        )
    return str(place)
