"""Hands that forge: what is done to a folder that verifies, piece by piece."""

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.attestation.keys import SigningKey
from core.policy import parse_policy
from core.store.layout import ADAPTER_CONFIG, ATTESTATION
from tests.attested import (
    envelope_of,
    report,
    seed,
    sign,
    statement_of,
    write_envelope,
)

GATE, RETIRED, STRANGER = seed(1), seed(2), seed(3)
EC_KID: Final = "an-elliptic-curve-key"
RSA_KID: Final = "an-rsa-key"
_BIG: Final = 1 << 40  # bytes; as a sparse file they take no room

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Forgery:
    """`change` is done to a folder that verifies."""

    name: str
    tries: str
    change: Change
    code: str


def write(name: str, data: bytes) -> Change:
    return lambda folder: _done((folder / name).write_bytes(data))


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def swap(name: str) -> Change:
    """One bit of the file, its size as it was."""

    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return change


def link(name: str, how: Callable[[Path, Path], None]) -> Change:
    """The file moved out of the folder, and a link to it in its place."""

    def change(folder: Path) -> None:
        elsewhere = folder.parent / f"elsewhere-{name}"
        (folder / name).rename(elsewhere)
        how(elsewhere, folder / name)

    return change


def huge(name: str) -> Change:
    def change(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.truncate(_BIG)

    return change


def pipe(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).unlink()
    os.mkfifo(folder / ADAPTER_CONFIG)


def envelope(**fields: Any) -> Change:
    return lambda folder: write_envelope(folder, {**envelope_of(folder), **fields})


def signature(**fields: Any) -> Change:
    def change(folder: Path) -> None:
        found = envelope_of(folder)
        found["signatures"][0].update(fields)
        write_envelope(folder, found)

    return change


def raw(edit: Callable[[bytes], bytes]) -> Change:
    """attestation.json as bytes."""

    def change(folder: Path) -> None:
        path = folder / ATTESTATION
        path.write_bytes(edit(path.read_bytes()))

    return change


def signed(edit: Callable[[dict[str, Any]], None], key: SigningKey = GATE) -> Change:
    """Another statement, signed by the gate's own key all the same."""

    def change(folder: Path) -> None:
        statement = statement_of(report())
        edit(statement)
        sign(folder, key, statement)

    return change


def subject(index: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda statement: statement["subject"][index].update(fields)


def payload_of_a_weaker_one(folder: Path) -> None:
    """The statement of the same files under another policy, with the signature as it was."""
    found = envelope_of(folder)
    weak = parse_policy(b'{"selection": {"threshold": 0.1}}')
    found["payload"] = base64.b64encode(json.dumps(statement_of(report(weak))).encode()).decode()
    write_envelope(folder, found)


def spaced(folder: Path) -> None:
    found = envelope_of(folder)
    found["payload"] = found["payload"][:40] + "\n" + found["payload"][40:]
    write_envelope(folder, found)


def loose_bits(folder: Path) -> None:
    """The last digit of a signature carries four bits that nobody reads."""
    found = envelope_of(folder)
    text = found["signatures"][0]["sig"]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    found["signatures"][0]["sig"] = text[:-3] + digits[digits.index(text[-3]) ^ 1] + "=="
    write_envelope(folder, found)


def by(key: SigningKey) -> Change:
    return lambda folder: sign(folder, key, statement_of(report()))


def two_strangers(folder: Path) -> None:
    sign(folder, STRANGER, statement_of(report()))
    found = envelope_of(folder)
    found["signatures"] = [found["signatures"][0], {**found["signatures"][0], "keyid": "nobody"}]
    write_envelope(folder, found)


def many(folder: Path) -> None:
    found = envelope_of(folder)
    found["signatures"] = found["signatures"] * 1000
    write_envelope(folder, found)


def policy_fields(statement: dict[str, Any]) -> None:
    statement["predicate"]["policy"]["harmless"] = True


def no_choice(statement: dict[str, Any]) -> None:
    """A policy that only scores is held to no floor, for it publishes nothing."""
    statement["predicate"]["policy"]["selection"] = {"mode": "none"}


def scored(statement: dict[str, Any]) -> None:
    statement["predicate"]["verdict"] = "scored"


def _done(_: object) -> None:
    """What a change returns is of no use."""
