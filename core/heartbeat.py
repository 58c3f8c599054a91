"""A sign of life for the probes of containers: a file's time.

It needs neither Redis nor the store: both may be away without a worker or courier having to start
again.
"""

import logging
from pathlib import Path

_log = logging.getLogger(__name__)


class Heartbeat:
    """`path`: the file; None: no sign is given."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def beat(self) -> None:
        """The file is of this moment; a disk that takes it no more is told in the log."""
        if self._path is None:
            return
        try:
            self._path.touch()
        except OSError as error:
            _log.warning("no sign of life: %s", error)
