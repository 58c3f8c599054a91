"""The files of a checkpoint, wherever they lie, read by ranges of bytes."""

from collections.abc import Mapping
from typing import BinaryIO, Protocol

from core.canonical import Json

OF_A_CHECKPOINT = (".safetensors", ".json", ".jinja", ".bin")
"""How the names of the files end that matter; `.bin` only to be refused as pickled."""


class CheckpointFiles(Protocol):
    """One folder of files, all of one version: what is written there later is never mixed in.

    Safe to use from several threads. Every method raises `AlignmentError` for what cannot be read,
    or is no longer what it was (`checkpoint_changed`), and `StoreError` for what may be there again
    in a while.
    """

    @property
    def place(self) -> str:
        """The folder or URI, for messages."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file that lies there, by name."""

    @property
    def version(self) -> Json:
        """Where it lies and what is known of its version: differs wherever the bytes may."""

    def open(self, name: str, start: int = 0, end: int | None = None) -> BinaryIO:
        """A stream of a file in `sizes` from byte `start` on, to be closed by the caller, who reads
        up to `end` (None: the file's end) and no further.

        It may give fewer bytes than asked for at a time, and ends early where the file does.
        """

    def check_unchanged(self) -> None:
        """Raises `AlignmentError` (`checkpoint_changed`) if another version lies there by now."""

    def close(self) -> None:
        """Let go of connections and open files."""
