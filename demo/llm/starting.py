"""`safelora-gate up`, started for the demo and stopped with it."""

import fcntl
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from demo.llm.gate import DemoFailed, Gate, short, tell
from safelora import Gate as Client

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 60.0
KEY_SHOWN: Final = 4  # characters: what every key begins with
READY: Final = "Ctrl-C"  # begins the last line of the welcome


@contextmanager
def running_gate(data: Path, checkpoints: Sequence[Path], console: Console) -> Iterator[Gate]:
    """A service on a free port, with a folder of its own under `data`, until the block ends.

    So that one left over from a killed run stands in nobody's way. Raises `DemoFailed`.
    """
    data.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(data)
    with tempfile.TemporaryDirectory(prefix="gate-", dir=data) as own:
        port = _free_port()
        allowed = [f"--checkpoints={root}" for root in checkpoints]
        told = [f"--checkpoints={short(root)}" for root in checkpoints]
        tell(console, f"safelora-gate up --data={short(Path(own))} --port={port}", *told)
        log = Path(own) / "up.log"
        command = ["up", f"--data={own}", f"--port={port}", *allowed]
        with _process([sys.executable, "-m", "app.cli", *command], log) as process:
            key = _first_key(process, log)
            url = f"http://127.0.0.1:{port}"
            tell(console, f"export GATE={url} SAFELORA_KEY={key[:KEY_SHOWN]}…")
            with Client(url, key) as client:
                yield Gate(client, console)
    console.print("stopped clean" if process.returncode == 0 else "stopped")


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Ended with the block, however that ends. A Ctrl-C in the terminal is the demo's alone."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_key(process: subprocess.Popen[bytes], log: Path) -> str:
    """The key from the welcome, once all of that is printed."""
    deadline = time.monotonic() + START_SECONDS
    while READY not in (said := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoFailed(f"the service did not start; it said:\n{said[-2000:]}")
        time.sleep(0.1)
    found = re.search(r"^key: +(\S+)$", said, re.MULTILINE)
    if found is None:
        raise DemoFailed("the service printed no key")
    return found[1]


def _clear_leftovers(data: Path) -> None:
    """Folders of killed runs, but for those in which a part of the service still lives."""
    for folder in data.glob("gate-*"):
        with (folder / ".lock").open("w") as lock:  # `up` and all its parts hold it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
