"""`safelora-gate keys`: API keys made, listed, revoked and rotated in the gate's store."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from app.access.audit import AuditLog
from app.terminal.output import AsJson, fail, on_stdout, print_json, settings_wrong, wrong
from app.terminal.stack import Layout
from core.errors import GateError
from core.exit_codes import FAILED
from core.findings import printable
from core.jobs import TENANT_PATTERN
from core.keys import KeyRecord, Keys, NewKey
from core.scopes import SCOPES
from core.settings import AccessSettings, SettingsInvalid, load_settings
from core.store import open_store
from core.store.settings import StoreSettings

keys_cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="API keys in the gate's store. A running gate knows of a change within five seconds.",
)

Data = Annotated[
    Path | None,
    typer.Option(help="folder of `safelora-gate up`; else the store of the environment"),
]
KeyId = Annotated[str, typer.Argument(help="the key's id: see `safelora-gate keys list`")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_LONGEST = timedelta(days=36_500)


def _scopes() -> list[tuple[str, str]]:
    return list(SCOPES.items())


@dataclass(frozen=True)
class _Desk:
    """The keys of one store, and where what is done to them is written down."""

    keys: Keys
    audit: AuditLog

    def told(self, action: str, record: KeyRecord, *, new_key: str | None = None) -> None:
        fields = {"tenant": record.tenant, "key": record.id, "new_key": new_key, "uid": os.getuid()}
        self.audit.write(action, fields)


@keys_cli.command()
def create(
    tenant: Annotated[str, typer.Option(help="whose key it is")],
    scope: Annotated[
        list[str],
        typer.Option(
            help=f"what it may do; repeatable: {', '.join(SCOPES)}", autocompletion=_scopes
        ),
    ],
    expires_in: Annotated[
        str | None, typer.Option(help="how long it is good, as 90d, 12h; else for ever")
    ] = None,
    json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a key and print it, once: the store keeps its SHA-256 only."""
    if not re.fullmatch(TENANT_PATTERN, tenant):
        wrong("--tenant takes a-z, 0-9, - and _, 63 characters at most, the first no - and no _")
    if unknown := sorted(set(scope) - set(SCOPES)):
        known = "\n".join(f"{name:16} {allowed}" for name, allowed in SCOPES.items())
        wrong(f"there is no scope {', '.join(unknown)}: the scopes are", advice=known)
    lasts = None if expires_in is None else _duration("--expires-in", expires_in, least=1)
    with _desk(data) as desk:
        new = desk.keys.create(tenant, scope, lasts)
        _print_new(new, {}, json=json)
        desk.told("keys.create", new.record)


@keys_cli.command(name="list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="only those of this tenant")] = None,
    json: AsJson = False,
    data: Data = None,
) -> None:
    """List the keys of the store, the newest last. Those of SAFELORA_ACCESS__KEYS are not in it.

    Exit code 1 if a record cannot be read: stderr names it, and the others are listed.
    """
    with _desk(data) as desk:
        records, unreadable = desk.keys.all()
    shown = [record for record in records if tenant in (None, record.tenant)]
    if json:
        print_json([_public(record) for record in shown])
    elif shown or unreadable:
        _print_table(shown)
    else:
        sys.stderr.write(
            "there are no such keys in this store: --data names the folder of `safelora-gate up`,"
            " and `safelora-gate keys create` makes one\n"
        )
    for error in unreadable:
        sys.stderr.write(f"error [{error.code}]: {printable(error.message)}\n")
    if unreadable:
        raise typer.Exit(FAILED)


@keys_cli.command()
def revoke(key_id: KeyId, json: AsJson = False, data: Data = None) -> None:
    """Make a key useless, for ever: within five seconds at every gate."""
    with _desk(data) as desk:
        revoked = desk.keys.revoke(_found(desk.keys, key_id))
        desk.told("keys.revoke", revoked)
    if json:
        print_json(_public(revoked))
    else:
        sys.stdout.write(f"{revoked.id} of tenant {revoked.tenant} is revoked\n")


@keys_cli.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="how long the old key stays good")] = "24h",
    expires_in: Annotated[
        str | None, typer.Option(help="how long the new key is good; else as long as the old was")
    ] = None,
    json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a new key for the same tenant and scopes; the old one expires after the overlap."""
    both_good = _duration("--overlap", overlap, least=0)
    lasts = None if expires_in is None else _duration("--expires-in", expires_in, least=1)
    with _desk(data) as desk:
        old = _found(desk.keys, key_id)
        if (state := old.state(datetime.now(UTC))) != "active":
            wrong(f"{old.id} is {state}: make a new key with `safelora-gate keys create`")
        if old.replaced_by is not None:
            wrong(f"{old.id} was rotated to {old.replaced_by} before: rotate that one")
        new = desk.keys.create(old.tenant, old.scopes, lasts or _span(old))
        try:
            ending = desk.keys.replace(old, new.record.id, datetime.now(UTC) + both_good)
        except GateError as error:
            _print_new(new, {}, json=json)
            desk.told("keys.create", new.record)
            raise GateError(
                f"the new key is made, and the old one does not expire: {error.message} Once it is"
                f" not used any more: safelora-gate keys revoke {old.id}",
                code=error.code,
            ) from error
        _print_new(new, {"replaces": _public(ending)}, json=json)
        desk.told("keys.rotate", old, new_key=new.record.id)
    if not json:
        sys.stderr.write(f"the old key {old.id} is good until {ending.expires_at}\n")


@contextmanager
def _desk(data: Path | None) -> Iterator[_Desk]:
    """Whatever goes wrong with the settings or the store ends the command with what to do."""
    try:
        store_settings, access = _places(data)
        desk_audit = AuditLog(access)
    except SettingsInvalid as error:
        settings_wrong(error)
    store = open_store(store_settings)
    try:
        yield _Desk(Keys(store), desk_audit)
    except GateError as error:
        fail(error)
    finally:
        store.close()


def _places(data: Path | None) -> tuple[StoreSettings, AccessSettings]:
    settings = load_settings()
    if data is None:
        return settings.store, settings.access
    layout = Layout(data)
    if not layout.store.is_dir():
        wrong(f"{data} is no folder of `safelora-gate up`: start that once, or mend --data")
    access = settings.access.model_copy(update={"audit_log": layout.audit_log})
    return StoreSettings(path=layout.store), access


def _found(keys: Keys, key_id: str) -> KeyRecord:
    record = keys.get(key_id)
    if record is None:
        wrong(
            f"there is no key {printable(key_id)} in the store: see `safelora-gate keys list`."
            " Keys of SAFELORA_ACCESS__KEYS are taken out there"
        )
    return record


def _span(record: KeyRecord) -> timedelta | None:
    """How long it was made for."""
    if record.expires_at is None:
        return None
    return datetime.fromisoformat(record.expires_at) - datetime.fromisoformat(record.created_at)


def _duration(option: str, text: str, *, least: int) -> timedelta:
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else -1
    if not least <= seconds <= _LONGEST.total_seconds():
        wrong(f"{option} takes a number and s, m, h, d or w, as 90d: a hundred years at most")
    return timedelta(seconds=seconds)


def _public(record: KeyRecord) -> dict[str, Any]:
    shown = record.model_dump(mode="json", exclude={"sha256"})
    return {**shown, "state": record.state(datetime.now(UTC))}


def _print_new(new: NewKey, more: dict[str, Any], *, json: bool) -> None:
    """The key alone on stdout, for `KEY=$(…)`; flushed, since nothing else will ever show it."""
    if json:
        document = {"key": new.text, **_public(new.record), **more}
        print_json(document)
    else:
        sys.stdout.write(f"{new.text}\n")
    sys.stdout.flush()
    if not json:
        record = new.record
        sys.stderr.write(
            f"key {record.id} of tenant {record.tenant}, for {', '.join(record.scopes)}, good"
            f" {'until ' + record.expires_at if record.expires_at else 'for ever'}. It is shown"
            " this once\n"
        )


def _print_table(records: list[KeyRecord]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("id", "tenant", "scopes", "created", "expires", "state"):
        table.add_column(title, overflow="fold")
    at = datetime.now(UTC)
    for record in records:
        table.add_row(
            record.id,
            record.tenant,
            printable(", ".join(record.scopes)),
            record.created_at,
            record.expires_at or "never",
            record.state(at),
        )
    on_stdout().print(table)
