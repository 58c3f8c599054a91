"""`safelora-gate up` as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_ports

START_SECONDS = 90


@contextmanager
def up(
    data: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, once it says that it is ready, and what it printed. `environment`: further
    settings."""
    (port,) = free_ports(1)
    output = data.parent / f"up-{port}.log"
    command = [sys.executable, "-m", "app.cli", "up", "--data", str(data), "--port", str(port)]
    with output.open("w") as log:
        process = subprocess.Popen(
            [*command, *flags],
            stdout=log,
            stderr=log,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C" not in output.read_text() and process.poll() is None:
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        yield process, output.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def url_in(said: str) -> str:
    """The address that `up` printed."""
    return str(re.findall(r"ready at (http://\S+)", said)[0])


def key_in(said: str) -> str:
    """The key that `up` printed at its first start."""
    return str(re.findall(r"key: +(slg_\S+)", said)[0])
