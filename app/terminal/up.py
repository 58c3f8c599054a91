"""`safelora-gate up`: everything on one machine."""

import signal
import sys
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.terminal import first_key, stack
from app.terminal.output import AsJson, fail, settings_wrong, using
from app.terminal.ports import Host, Port, check_port
from app.terminal.signing_keys import ensure_key
from core.errors import GateError
from core.report import ENGINE_VERSION
from core.settings import SettingsInvalid


@dataclass(frozen=True)
class Welcome:
    """What is to be known of a gate that is ready. `key`: None where it was shown before."""

    url: str
    key: str | None
    checkpoints: list[str]
    results: str
    logs: str
    attested_by: str


def up(
    data: Annotated[Path, typer.Option(help="folder for everything the service keeps")] = Path(
        "var"
    ),
    host: Host = "127.0.0.1",
    port: Port = 8000,
    checkpoints: Annotated[
        list[Path] | None, typer.Option(help="folder that pairs may be registered from; repeatable")
    ] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="make and print another key")] = False,
    json: AsJson = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    Exit code 0 stopped by Ctrl-C or SIGTERM; 1 a part did not start, or ended; 2 wrong arguments.
    With --json one line once it is ready.
    """
    layout = stack.Layout(data)
    roots = checkpoints or [data / "checkpoints"]
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job starts deaf to SIGINT
        signal.signal(number, signal.default_int_handler)
    try:
        check_port(host, port)
        with using(data), stack.Stack(layout) as parts:
            keys = first_key.known_keys(layout.keys)
            key = None
            if new_key or not keys:
                key, entry = first_key.new_key()
                keys.append(entry)
            signing_key = ensure_key(layout)
            stack.start_all(parts, host=host, port=port, keys=keys, roots=roots)
            first_key.save_keys(layout.keys, keys)  # not before: a key not shown is lost
            welcome = Welcome(
                f"http://{host}:{port}",
                key,
                [str(root) for root in roots],
                str(layout.store),
                str(layout.logs),
                signing_key,
            )
            _print(welcome, json=json)
            parts.watch()
    except KeyboardInterrupt:
        if not json:
            sys.stdout.write("stopped\n")
    except stack.StackError as error:
        fail(error, advice=error.log)
    except SettingsInvalid as error:
        settings_wrong(error)
    except GateError as error:
        fail(error)


def _print(welcome: Welcome, *, json: bool) -> None:
    if json:
        sys.stdout.write(f"{dumps(asdict(welcome))}\n")
        sys.stdout.flush()
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    url = welcome.url
    console.print(
        f"Safe LoRA Gate {ENGINE_VERSION} is ready at {url} (API description: {url}/docs)"
    )
    if welcome.key is None:
        console.print("key:         the one printed at the first start; --new-key makes another")
    else:
        console.print(f"key:         {welcome.key}")
        console.print("             shown this once; use it as: export SAFELORA_KEY=…")
    console.print(f"checkpoints: {', '.join(welcome.checkpoints)}")
    console.print(f"results:     {welcome.results}")
    console.print(f"logs:        {welcome.logs}")
    console.print(f"attested by: {welcome.attested_by}")
    console.print("Ctrl-C stops everything.")
