"""`safelora-gate signing-keys`: on the folder of `up`, and by the settings of the environment."""

import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.terminal.signing_keys import ensure_key
from app.terminal.stack import Layout
from core.attestation.key_set import parse_key_set
from core.attestation.keys import SigningKey
from core.attestation.published import PublishedKeys
from core.store import open_store
from core.store.settings import StoreSettings
from tests.attested import seed
from tests.service.running import store_environment

DONE, FAILED, WRONG_ARGUMENTS = 0, 1, 2


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["signing-keys", *arguments])


def kid_in(done: Result) -> str:
    [kid] = re.findall(r"[0-9a-f]{64}", done.stdout)
    return str(kid)


def listed(*arguments: str) -> dict[str, str]:
    """What `list` says of each key."""
    lines = run("list", *arguments).stdout.splitlines()
    return {line.split()[0]: " ".join(line.split()[2:3]) for line in lines}


def test_life_of_a_key(tmp_path: Path) -> None:
    """Made, replaced, retired; each step is seen in the list, and in what the gate answers."""
    data = ("--data", str(tmp_path / "var"))
    old = kid_in(run("create", *data))
    assert kid_in(run("create", *data)) == old
    assert listed(*data) == {old: "signs"}
    assert SigningKey.load(tmp_path / "var" / "signing-key.pem").public.id == old

    new = kid_in(run("rotate", *data))
    assert listed(*data) == {old: "verifies", new: "signs"}

    assert run("retire", old, *data).exit_code == DONE
    assert listed(*data) == {old: "retired", new: "signs"}
    keys = parse_key_set(run("list", "--json", *data).stdout_bytes)
    assert (set(keys.trusted), set(keys.retired)) == ({new}, {old})


def test_what_is_done_to_a_key_is_in_the_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With who did it; and where the log cannot be written, nothing is done."""
    data = ("--data", str(tmp_path / "var"))
    monkeypatch.delenv("SAFELORA_ACCESS__AUDIT_LOG", raising=False)
    old, new = kid_in(run("create", *data)), kid_in(run("rotate", *data))
    run("retire", old, *data)
    assert run("retire", new, *data).exit_code == WRONG_ARGUMENTS
    log = tmp_path / "var" / "logs" / "audit.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["action"], line.get("signing_key"), line["uid"]) for line in lines] == [
        ("signing-keys.create", old, os.getuid()),
        ("signing-keys.rotate", new, os.getuid()),
        ("signing-keys.retire", old, os.getuid()),
        ("signing-keys.retire", None, os.getuid()),
    ]
    assert lines[-1]["failed"] == "signing_key_in_use"
    monkeypatch.setenv("SAFELORA_ACCESS__AUDIT_LOG", str(tmp_path / "nowhere" / "audit.jsonl"))
    assert run("rotate", *data).exit_code == WRONG_ARGUMENTS
    assert listed(*data) == {old: "retired", new: "signs"}


def test_settings_of_the_environment(
    store_settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers' key file, and the store of the gate, a folder or S3."""
    for name, value in store_environment(store_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SAFELORA_ATTESTATION__KEY", str(tmp_path / "key.pem"))
    kid = kid_in(run("create"))
    store = open_store(store_settings)
    assert [record.kid for record in PublishedKeys(store).all()] == [kid]
    assert SigningKey.load(tmp_path / "key.pem").public.id == kid
    store.close()


def test_up_makes_its_key_once(tmp_path: Path) -> None:
    """And takes the one that was put there since."""
    layout = Layout(tmp_path / "var")
    first = ensure_key(layout)
    assert ensure_key(layout) == first
    assert listed("--data", str(layout.data)) == {first: "signs"}
    assert layout.environment("redis://x", [], [])["SAFELORA_ATTESTATION__KEY"] == str(
        layout.signing_key
    )


@pytest.mark.parametrize("command", ["create", "rotate"])
def test_key_file_must_be_named(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2: no key is written where nobody looks for it."""
    monkeypatch.delenv("SAFELORA_ATTESTATION__KEY", raising=False)
    done = run(command)
    assert done.exit_code == WRONG_ARGUMENTS
    assert "SAFELORA_ATTESTATION__KEY" in done.stderr


def test_what_cannot_be_retired(tmp_path: Path) -> None:
    """Exit 2 and a code: the key that signs, one that is retired, and one that nobody knows."""
    data = ("--data", str(tmp_path))
    old = kid_in(run("create", *data))
    for kid, code in ((old, "signing_key_in_use"), ("0" * 64, "signing_key_unknown")):
        done = run("retire", kid, *data)
        assert (done.exit_code, code in done.stderr) == (WRONG_ARGUMENTS, True)
    run("rotate", *data)
    run("retire", old, *data)
    done = run("retire", old, *data)
    assert (done.exit_code, "signing_key_retired" in done.stderr) == (WRONG_ARGUMENTS, True)


@pytest.mark.parametrize("kid", ["../../x", "", "x/y", "~"])
def test_id_is_no_path(kid: str, tmp_path: Path) -> None:
    """Whatever it is called, nothing outside the keys is looked at."""
    data = ("--data", str(tmp_path))
    run("create", *data)
    done = run("retire", kid, *data)
    assert (done.exit_code, "signing_key_unknown" in done.stderr) == (WRONG_ARGUMENTS, True)


def test_file_that_is_no_key(tmp_path: Path) -> None:
    """Exit 1, nothing written over."""
    path = tmp_path / "signing-key.pem"
    path.write_text("notes")
    for command in ("create", "rotate"):
        done = run(command, "--data", str(tmp_path))
        assert done.exit_code == FAILED
        assert "signing_key_unusable" in done.stderr
    assert path.read_text() == "notes"


def test_no_private_key_is_printed(tmp_path: Path) -> None:
    """Not in any of what the commands say."""
    data = ("--data", str(tmp_path))
    seed(1).write_new(tmp_path / "signing-key.pem")
    said = "".join(
        run(*command, *data).output for command in (("create",), ("list",), ("list", "--json"))
    )
    for line in (tmp_path / "signing-key.pem").read_text().splitlines():
        assert line not in said
    assert "d" not in json.loads(run("list", "--json", *data).stdout)["keys"][0]
