"""The files of one alignment, wherever they come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from worker.alignment.tiers.counts import Tier


@dataclass(frozen=True)
class Copy:
    """An open file, to be closed by whoever asked for it, and the tier that had it."""

    file: BinaryIO
    tier: Tier


class Files(Protocol):
    """The files of one alignment on the local disk."""

    def open(self, filename: str) -> Copy:
        """The file, fetched if need be; it stays readable if it is dropped meanwhile.

        Raises `OSError`, `AlignmentError` or `StoreError` where there is none to be had.
        """

    def drop(self, filename: str) -> bool:
        """Forget a bad copy; False if there is nowhere to fetch another from."""


class Folder:
    """An alignment in a folder that the operator named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, filename: str) -> Copy:
        return Copy((self.folder / filename).open("rb"), "disk")

    def drop(self, filename: str) -> bool:
        del filename
        return False
