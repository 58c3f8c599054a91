"""`safelora-gate`: the service from a terminal."""

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from app.access.loopback import is_loopback
from app.terminal import aligning, first_key, stack
from app.terminal import signing_keys as signing_cli
from app.terminal.calibrate import calibrate
from app.terminal.gates import HERE, AllowHttp, Key, Url, open_gate, told
from app.terminal.jobs import jobs
from app.terminal.keys import keys_cli
from app.terminal.output import bar, fail, wrong
from app.terminal.submit import submit
from app.terminal.verify import verify
from core.alignments import DEFAULT_RANK, DtypeRule
from core.errors import GateError, StoreError
from core.findings import printable
from core.keys import Keys
from core.observing.logs import start_logging
from core.render.terminal import print_report
from core.report import ENGINE_VERSION, Report
from core.settings import Settings, SettingsInvalid, load_settings
from core.store import open_store

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sanitize LoRA adapters: project them onto the alignment subspace of their model.",
)
cli.command()(calibrate)
cli.command()(verify)
cli.add_typer(signing_cli.signing_keys, name="signing-keys")
cli.add_typer(keys_cli, name="keys")
cli.command()(submit)
cli.add_typer(jobs, name="jobs")

Host = Annotated[str, typer.Option(help="address to listen on")]
Port = Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)]


@cli.command()
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
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    layout = stack.Layout(data)
    console = Console(highlight=False, soft_wrap=True)
    roots = checkpoints or [data / "checkpoints"]
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job starts deaf to SIGINT
        signal.signal(number, signal.default_int_handler)
    try:
        with stack.Stack(layout) as parts:
            keys = first_key.known_keys(layout.keys)
            key = None
            if new_key or not keys:
                key, entry = first_key.new_key()
                keys.append(entry)
            signing_key = signing_cli.ensure_key(layout)
            stack.start_all(parts, host=host, port=port, keys=keys, roots=roots)
            first_key.save_keys(layout.keys, keys)  # not before: a key not shown is lost
            url = f"http://{host}:{port}"
            _print_welcome(console, url, key, signing_key, layout, roots)
            parts.watch()
    except KeyboardInterrupt:
        console.print("stopped")
    except GateError as error:
        fail(error)
    except OSError as error:
        wrong(f"--data {data} cannot be used: {error}")


@cli.command()
def serve(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Start the HTTP API alone, with the settings of the environment (SAFELORA_…)."""
    from app.serving import run

    try:
        settings = load_settings()
    except SettingsInvalid as error:
        wrong(error.message)
    if not is_loopback(host) and not _has_keys(settings):
        wrong(
            f"there are no keys, so {host} is not listened on: make one with `safelora-gate keys"
            " create`, set SAFELORA_ACCESS__KEYS, or listen on 127.0.0.1"
        )
    start_logging("api", settings.logs)
    try:
        run(settings, host, port)
    except SettingsInvalid as error:
        wrong(error.message)


@cli.command()
def worker() -> None:
    """Start one worker, with the settings of the environment (SAFELORA_…)."""
    _become("worker", "run")


@cli.command()
def courier() -> None:
    """Start the courier, with the settings of the environment (SAFELORA_…)."""
    _become("worker", "courier")


@cli.command()
def align(
    name: Annotated[str, typer.Argument(help="what the alignment will be called")],
    base: Annotated[str, typer.Option(help="folder of the model before alignment")],
    aligned: Annotated[str, typer.Option(help="folder of the aligned model")],
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
    module: Annotated[
        list[str] | None, typer.Option(help="name suffix of modules to take; repeatable; else all")
    ] = None,
    base_name: Annotated[
        list[str] | None,
        typer.Option(help="base_model_name_or_path of adapters for this model; repeatable"),
    ] = None,
    dtype: Annotated[DtypeRule, typer.Option(help="how V is stored")] = "auto",
    rank: Annotated[
        int, typer.Option(help="singular directions to store", min=1, max=4096)
    ] = DEFAULT_RANK,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="print what it would take, from headers on this machine, and stop"
        ),
    ] = False,
) -> None:
    """Register a pair of checkpoints on the gate's machine, and wait until it is built.

    Exit code 0 ready, 1 failed, 2 wrong arguments. What is interrupted goes on at the gate; the
    same command again waits for it.
    """
    if dry_run:
        wanted = [f"--base={base}", f"--aligned={aligned}", f"--rank={rank}"]
        _become("worker.alignment.dry_run", *wanted, *(f"--module={m}" for m in module or []))
    order = {
        "name": name,
        "base": _absolute(base),
        "aligned": _absolute(aligned),
        "modules": module or None,
        "base_names": base_name or [],
        "dtype": dtype,
        "rank": rank,
    }
    with (
        told(f"the gate goes on building {name}; {_how_to_stop(url, name)}"),
        open_gate(url, key, allow_http=allow_http) as gate,
        bar(f"building {name}") as show_progress,
    ):
        built = aligning.align(gate, order, show_progress)
    for warning in built.warnings:
        sys.stderr.write(f"warning [{warning.code}]: {printable(warning.message)}\n")
    sys.stdout.write(f"{name} is ready: {built.id}\n")


@cli.command()
def show(report: Annotated[Path, typer.Argument(help="a report.json")]) -> None:
    """Print a report as a table."""
    try:
        parsed = Report.model_validate_json(report.read_bytes())
    except (OSError, ValueError) as error:
        wrong(f"{report} is no report.json of this version ({type(error).__name__})")
    width = None if sys.stdout.isatty() else 160
    print_report(parsed, Console(highlight=False, width=width))


@cli.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"safelora-gate {ENGINE_VERSION}\n")


def main() -> None:
    if isinstance(sys.stdout, TextIOWrapper):  # else what stderr says comes before it in a pipe
        sys.stdout.reconfigure(line_buffering=True)
    cli()


def _become(module: str, *arguments: str) -> NoReturn:
    """The worker is another package with other needs (torch): start it, import nothing of it."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def _has_keys(settings: Settings) -> bool:
    """In the settings or in the store; if that cannot be asked the command ends."""
    if settings.access.keys:
        return True
    store = open_store(settings.store)
    try:
        return Keys(store).exist()
    except StoreError as error:
        fail(error)
    finally:
        store.close()


def _absolute(source: str) -> str:
    """A gate on this machine looks at folders from its own place, not from the caller's."""
    return str(Path(source).absolute()) if Path(source).is_dir() else source


def _how_to_stop(url: str, name: str) -> str:
    place = f"{url.rstrip('/')}/v1/alignments/{name}"
    return f'to stop it: curl -H "Authorization: Bearer $SAFELORA_KEY" -X DELETE {place}'


def _print_welcome(
    console: Console,
    url: str,
    key: str | None,
    signing_key: str,
    layout: stack.Layout,
    roots: list[Path],
) -> None:
    console.print(
        f"Safe LoRA Gate {ENGINE_VERSION} is ready at {url} (API description: {url}/docs)"
    )
    if key is None:
        console.print("key:         the one printed at the first start; --new-key makes another")
    else:
        console.print(f"key:         {key}")
        console.print(
            "             shown this once; use it as: export SAFELORA_KEY=…", markup=False
        )
    console.print(f"checkpoints: {', '.join(str(root) for root in roots)}", markup=False)
    console.print(f"results:     {layout.store}", markup=False)
    console.print(f"logs:        {layout.logs}", markup=False)
    console.print(f"attested by: {signing_key}")
    console.print("Ctrl-C stops everything.")


if __name__ == "__main__":
    main()
