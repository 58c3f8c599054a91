"""`safelora-gate verify`: is a folder what a gate published, and did that gate do enough?"""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import typer
from pydantic import ValidationError

from app.access.loopback import is_loopback
from app.terminal.bundle import write_bundle
from app.terminal.output import AsJson, fail, print_json, using, wrong
from core.attestation.key_set import KEY_SET_LIMIT, KeySet, parse_key_set
from core.attestation.statement import Predicate
from core.attestation.verify import Requirements, Verification, verify_folder
from core.errors import GateError, RequestError
from core.exit_codes import REJECTED
from core.findings import printable
from core.policy import Policy, parse_policy

_SECONDS = 10.0


class KeysUnreachable(GateError):
    """The keys cannot be had, so nothing can be verified."""

    code = "keys_unreachable"


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the downloaded adapter, unpacked")],
    keys: Annotated[
        list[str],
        typer.Option(
            help="the gate's public keys: a file, or https://…/.well-known/safelora-gate/keys;"
            " repeatable"
        ),
    ],
    policy: Annotated[
        Path | None, typer.Option(help="a policy (JSON) that its own must be as strong as")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="least version of the engine")] = None,
    alignment: Annotated[
        list[str] | None, typer.Option(help="id of an alignment that may have judged; repeatable")
    ] = None,
    verdict: Annotated[
        list[str] | None, typer.Option(help="projected or unchanged; repeatable")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="name of a file that may lie there too; repeatable")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="file to sign what verified into, for model-signing")
    ] = None,
    bundle_key: Annotated[
        Path | None, typer.Option(help="EC private key in PEM that signs --bundle")
    ] = None,
    json: AsJson = False,
) -> None:
    """Check that a gate published the adapter in DIR as it lies, and that the gate did enough.

    Without a URL among the keys no network is used. Exit code 0 verified; 3 not verified, with
    codes on stderr; 2 wrong arguments; 1 the keys cannot be had, or the bundle not be made. It
    shows what the gate did, not that the adapter is harmless.
    """
    if not folder.is_dir():
        wrong(f"{folder} is no folder: give the one that the adapter was downloaded to")
    if (bundle is None) != (bundle_key is None):
        wrong("--bundle and --bundle-key go together")
    required = _requirements(policy, engine, alignment, verdict, allow)
    try:
        with using(folder):
            outcome = verify_folder(folder, _key_set(keys), required)
            if outcome.verified and bundle is not None and bundle_key is not None:
                write_bundle(folder, bundle_key, bundle)
    except GateError as error:
        fail(error)
    if json:
        document = {"verified": outcome.verified, **outcome.model_dump(mode="json")}
        print_json(document)
    elif outcome.verified:
        _print(folder, outcome)
    if not outcome.verified:
        for problem in outcome.problems:
            told = printable(f"{problem.subject}: {problem.message}")
            sys.stderr.write(f"not verified [{problem.code}] {told}\n")
        raise typer.Exit(REJECTED)


def _requirements(
    policy: Path | None,
    engine: str | None,
    alignments: list[str] | None,
    verdicts: list[str] | None,
    allowed: list[str] | None,
) -> Requirements:
    asked = {
        "policy": None if policy is None else _policy(policy),
        "engine": engine,
        "alignments": frozenset(alignments) if alignments else None,
        "verdicts": frozenset(verdicts) if verdicts else None,
        "allowed": frozenset(allowed or ()),
    }
    try:
        return Requirements.model_validate(asked)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "engine":
            wrong(f"--engine {engine} is no version: give it as 0.2.0")
        wrong("--verdict is projected or unchanged: nothing else is published")


def _policy(path: Path) -> Policy:
    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        wrong(f"--policy {path}: {error.strerror}")
    except RequestError as error:
        wrong(f"--policy {path}: {error.message}")


def _key_set(sources: list[str]) -> KeySet:
    """The keys of all sources together. Raises `KeysUnreachable` or `KeysUnusable`."""
    keys = KeySet()
    for source in sources:
        keys |= parse_key_set(_fetched(source) if "://" in source else _read(Path(source)))
    return keys


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_SET_LIMIT + 1)
    except OSError as error:
        raise KeysUnreachable(f"--keys {path} cannot be read: {error.strerror}") from error


def _fetched(url: str) -> bytes:
    parts = urlsplit(url)
    here = is_loopback(parts.hostname or "")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and here)):
        wrong("--keys is a file or an https:// address: what comes over http anyone can change")
    data = b""
    try:
        with httpx2.stream("GET", url, timeout=_SECONDS, trust_env=not here) as response:
            if response.status_code != 200:
                raise KeysUnreachable(f"--keys: {parts.hostname} answers {response.status_code}")
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > KEY_SET_LIMIT:
                    break
    except httpx2.HTTPError as error:
        raise KeysUnreachable(
            f"--keys: {parts.hostname} does not answer ({type(error).__name__})"
        ) from error
    return data


def _print(folder: Path, outcome: Verification) -> None:
    predicate: Predicate | None = outcome.predicate
    if predicate is None:
        return
    rows = {
        "verified": str(folder),
        "key": str(outcome.key),
        "engine": f"{predicate.engine.name} {predicate.engine.version}",
        "alignment": f"{predicate.alignment.id} {predicate.alignment.name or ''}".rstrip(),
        "verdict": f"{predicate.verdict}, {predicate.summary.projected} of"
        f" {predicate.summary.modules} modules projected",
        **{f"input {file.name}": f"sha256:{file.sha256}" for file in predicate.input},
    }
    for name, value in rows.items():
        sys.stdout.write(f"{printable(name + ':'):<34} {printable(value)}\n")
