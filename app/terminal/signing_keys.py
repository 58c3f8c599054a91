"""`safelora-gate signing-keys`: the keys that results are attested with."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app.access.audit import AuditLog
from app.terminal.output import AsJson, fail, print_json, refused, settings_wrong, wrong
from app.terminal.stack import Layout
from core.attestation.keeping import create_key, retire_key, rotate_key
from core.attestation.keys import SigningKey
from core.attestation.published import KeyRecord, PublishedKeys
from core.errors import GateError, RequestError
from core.jobs import now
from core.settings import Settings, SettingsInvalid, load_settings
from core.store import open_store

signing_keys = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The keys that results are attested with. They act on the object store and the key file of"
    " the environment's settings (SAFELORA_…). Exit code 0 done, 1 failed, 2 wrong arguments.",
)

_SIGNS = "signs results from now on"

Data = Annotated[
    Path | None, typer.Option(help="folder of `safelora-gate up`, instead of the settings'")
]


@signing_keys.command()
def create(json: AsJson = False, data: Data = None) -> None:
    """Make the key that SAFELORA_ATTESTATION__KEY names, unless it is there, and publish it."""
    _act("create", lambda s: create_key(_key_file(s), _published(s), now()), _SIGNS, json, data)


@signing_keys.command(name="list")
def list_keys(
    json: AsJson = False,
    data: Data = None,
) -> None:
    """Print the published keys, oldest first.

    With --json as the gate answers at its well-known address.
    """
    settings = _settings(data)
    try:
        published = _published(settings)
        if json:
            print_json(published.as_json())
            return
        records = sorted(published.all(), key=lambda record: record.created_at)
        signing = _signing(settings)
    except (GateError, OSError) as error:
        _end(error)
    if not records:
        sys.stderr.write(
            "there are no keys in this store: --data names the folder of `safelora-gate up`, and"
            " `safelora-gate signing-keys create` makes one\n"
        )
    for record in records:
        sys.stdout.write(f"{record.kid}  {record.created_at}  {_state(record, signing)}\n")


@signing_keys.command()
def rotate(json: AsJson = False, data: Data = None) -> None:
    """Sign with a new key from the next result on. What the old one signed still verifies."""
    _act("rotate", lambda s: rotate_key(_key_file(s), _published(s), now()), _SIGNS, json, data)


@signing_keys.command()
def retire(
    kid: Annotated[str, typer.Argument(help="the key's id, as `list` prints it")],
    json: AsJson = False,
    data: Data = None,
) -> None:
    """Have nothing count any more that a key signed; it cannot be undone.

    Adapters that it attested are worked on again when they are posted again.
    """
    _act(
        "retire",
        lambda s: retire_key(kid, s.attestation.key, _published(s), now()),
        "is retired: verifiers must fetch the keys anew",
        json,
        data,
    )


def ensure_key(layout: Layout) -> str:
    """The id of the key that `safelora-gate up` signs with, made at the first start.

    Raises `GateError` or `OSError`.
    """
    settings = layout.settings(load_settings())
    return create_key(layout.signing_key, _published(settings), now()).kid


def _act(
    verb: str, do: Callable[[Settings], KeyRecord], words: str, json: bool, data: Path | None
) -> None:
    """Do it and say so, on stdout and in the audit log, which has what failed as well: a rotation
    may have published its key by then."""
    settings = _settings(data)
    audit = _audit(settings, data if verb == "create" else None)
    try:
        record = do(settings)
    except (GateError, OSError) as error:
        failed = error.code if isinstance(error, GateError) else error.strerror
        audit.write(f"signing-keys.{verb}", {"failed": failed, "uid": os.getuid()})
        _end(error)
    audit.write(f"signing-keys.{verb}", {"signing_key": record.kid, "uid": os.getuid()})
    if json:
        print_json(record.model_dump(mode="json"))
    else:
        sys.stdout.write(f"{record.kid} {words}\n")


def _settings(data: Path | None) -> Settings:
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        settings_wrong(error)
    return settings if data is None else Layout(data).settings(settings)


def _audit(settings: Settings, new_data: Path | None) -> AuditLog:
    """Opened before anything is done, which must not go untold; a folder that is to be one of `up`
    is made."""
    try:
        if new_data is not None:
            Layout(new_data).logs.mkdir(parents=True, exist_ok=True)
        return AuditLog(settings.access)
    except SettingsInvalid as error:
        settings_wrong(error)
    except OSError as error:
        wrong(f"{error.filename} cannot be made: {error.strerror}")


def _published(settings: Settings) -> PublishedKeys:
    return PublishedKeys(open_store(settings.store))


def _key_file(settings: Settings) -> Path:
    if settings.attestation.key is None:
        wrong(
            "set SAFELORA_ATTESTATION__KEY to the file that the workers sign with, or give --data"
        )
    return settings.attestation.key


def _signing(settings: Settings) -> str | None:
    """The id of the key in the file, where this machine has it."""
    path = settings.attestation.key
    return SigningKey.load(path).public.id if path is not None and path.exists() else None


def _state(record: KeyRecord, signing: str | None) -> str:
    if not record.trusted:
        return f"retired {record.retired_at}"
    return "signs" if record.kid == signing else "verifies"


def _end(error: GateError | OSError) -> NoReturn:
    if isinstance(error, RequestError):
        refused(error)
    if isinstance(error, GateError):
        fail(error)
    wrong(f"{error.filename or 'the key file'} cannot be used: {error.strerror}")
