"""The API as a process."""

import logging
import sys
from contextlib import suppress
from socket import socket
from types import FrameType
from typing import Final

import uvicorn

from app.connections import PatientProtocol
from app.main import create_app
from core.exit_codes import FAILED
from core.observing.logs import start_logging
from core.observing.traces import flush_traces, start_tracing
from core.settings import Settings

_UNTOLD: Final = frozenset({"/livez", "/readyz", "/metrics"})


class _Server(uvicorn.Server):
    """Lets go of those who wait, as soon as it is told to stop: else it would wait for them."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.services.closing.set()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """uvicorn ends the process by the signal that stopped it, which asks nobody else."""
        await super().shutdown(sockets)
        flush_traces()


def run(settings: Settings, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT; exits the process if the port cannot be had. Raises
    `SettingsInvalid`."""
    start_logging("api", settings.logs)
    start_tracing("api", settings.traces)
    logging.getLogger("uvicorn.access").addFilter(_worth_a_line)
    server = _Server(
        uvicorn.Config(
            create_app(settings),
            host=host,
            port=port,
            http=PatientProtocol,
            server_header=False,
            log_config=None,  # its lines are as all others
        )
    )
    with suppress(KeyboardInterrupt):  # raised again once all is let go of
        server.run()
    if not server.started:
        sys.exit(FAILED)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Of each request a line, without its query, where somebody may have put a key; none of those
    that come every few seconds, as long as all is well."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, target, version, status = record.args
        path = str(target).partition("?")[0]
        record.args = (client, method, path, version, status)
        return path not in _UNTOLD or status != 200
    return True
