"""The API as a process."""

import sys
from contextlib import suppress
from types import FrameType

import uvicorn

from app.connections import PatientProtocol
from app.main import create_app
from core.exit_codes import FAILED
from core.settings import Settings


class _Server(uvicorn.Server):
    """Lets go of those who wait, as soon as it is told to stop: else it would wait for them."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.services.closing.set()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


def run(settings: Settings, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT; exits the process if the port cannot be had."""
    server = _Server(
        uvicorn.Config(
            create_app(settings), host=host, port=port, http=PatientProtocol, server_header=False
        )
    )
    with suppress(KeyboardInterrupt):  # raised again once all is let go of
        server.run()
    if not server.started:
        sys.exit(FAILED)
