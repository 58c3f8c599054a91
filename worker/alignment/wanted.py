"""Whether anyone still waits for an alignment that is being built."""

import logging
import time

from core.alignments import AlignmentRecord
from core.errors import StoreError
from core.records import Records, is_settled

LOOK_EVERY = 5.0  # seconds

_log = logging.getLogger(__name__)


class Removed(Exception):
    """Nobody does: the name was removed, stands for another pair, or is ready already."""


class Wanted:
    """Looks now and then whether the record that a build was started for still stands."""

    def __init__(self, record: AlignmentRecord, records: Records) -> None:
        self._record = record
        self._records = records
        self._looked = time.monotonic()

    def check(self) -> None:
        """Raises `Removed`. A store that is away stops no build: it is asked again later."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            standing = self._records.alignment(self._record.name)
        except StoreError as error:
            _log.warning("is alignment %s still wanted? %s", self._record.name, error)
            return
        if is_settled(standing, self._record):
            raise Removed
