"""The audit log: who changed, took or was refused what, as JSON lines."""

import errno
import json
import logging
import os
from collections.abc import Mapping
from typing import Final

from core.jobs import now
from core.settings import AccessSettings, SettingsInvalid

OFF: Final = "off"
STDERR: Final = "-"
_STDERR_FILE: Final = 2

_log = logging.getLogger(__name__)


class AuditLog:
    """Lines are appended whole, so several processes may share a file; it is opened for each line,
    so that it may be moved away at any time."""

    def __init__(self, settings: AccessSettings) -> None:
        """Raises `SettingsInvalid` if the file cannot be written."""
        self._place = settings.audit_log
        if self._place not in (OFF, STDERR):
            try:
                os.close(self._open())
            except OSError as error:
                raise SettingsInvalid(
                    f"SAFELORA_ACCESS__AUDIT_LOG: {self._place} cannot be written:"
                    f" {error.strerror}. Name a file in a folder that the service may write to, -"
                    " for stderr, or off"
                ) from error

    @property
    def is_on(self) -> bool:
        return self._place != OFF

    def write(self, action: str, fields: Mapping[str, str | int | None]) -> None:
        """One line; fields that are None are left out. Blocks. Where it cannot be written the
        ordinary log has it, as an error: what it tells of has happened, and is not undone."""
        if not self.is_on:
            return
        told = {name: value for name, value in fields.items() if value is not None}
        line = json.dumps({"at": now(), "action": action, **told}).replace("\x7f", "\\u007f")
        try:
            self._append(f"{line}\n".encode())
        except OSError as error:
            _log.error("the audit log cannot be written (%s), and lacks: %s", error.strerror, line)

    def _append(self, line: bytes) -> None:
        file = _STDERR_FILE if self._place == STDERR else self._open()
        try:
            if os.write(file, line) != len(line):
                raise OSError(errno.ENOSPC, "a line was written in part")
        finally:
            if file != _STDERR_FILE:
                os.close(file)

    def _open(self) -> int:
        return os.open(self._place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
