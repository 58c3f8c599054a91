"""What is wrong with the settings stops each process at its start: one line a variable, exit 2."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.exit_codes import WRONG_ARGUMENTS

SERVE = ("app.cli", "serve", "--port", "1")
WORKER = ("app.cli", "worker")
COURIER = ("app.cli", "courier")
SECRET = "hush-hush-hush-hush"


def started(command: tuple[str, ...], settings: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """The exit code and what was said; nothing is left running."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [SERVE, WORKER, COURIER, ("app.cli", "up", "--port", "1")])
def test_every_variable_at_fault_has_a_line(command: tuple[str, ...], tmp_path: Path) -> None:
    """Its name first, and no value of any."""
    settings = {
        "SAFELORA_QUEUE__LEASE": SECRET,
        "SAFELORA_REDIS__URL": f"redis://:{SECRET}@host:port",
        "SAFELORA_ACCESS__KEYS": f'[{{"id": "a", "sha256": "{SECRET}"}}]',
    }
    code, said = started(command, settings, tmp_path)
    assert code == WRONG_ARGUMENTS
    assert [line.split(": ")[:2] for line in said.splitlines()] == [
        ["error [settings_invalid]", "SAFELORA_REDIS__URL"],
        ["error [settings_invalid]", "SAFELORA_QUEUE__LEASE"],
        ["error [settings_invalid]", "SAFELORA_ACCESS__KEYS"],
    ]
    assert SECRET not in said


@pytest.mark.parametrize("command", [SERVE, WORKER, COURIER])
def test_what_is_no_json_is_named_and_not_shown(command: tuple[str, ...], tmp_path: Path) -> None:
    """The variable, and the character at which it goes wrong."""
    broken = f'{{"runs": {{"secret": "{SECRET}"'
    code, said = started(command, {"SAFELORA_HOOKS": broken}, tmp_path)
    assert code == WRONG_ARGUMENTS
    assert said.startswith("error [settings_invalid]: SAFELORA_HOOKS: no JSON: ")
    assert said.endswith(f"character {len(broken) + 1}\n")
    assert SECRET not in said


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        (SERVE, "SAFELORA_ACCESS__AUDIT_LOG", "no/such/folder/audit.jsonl"),
        (WORKER, "SAFELORA_WORKER__DEVICE", "cuda:99"),
        (WORKER, "SAFELORA_ATTESTATION__KEY", "no-such-key.pem"),
        (COURIER, "SAFELORA_WEBHOOKS__CA_FILE", "no-such-bundle.pem"),
        (("app.cli", "up", "--port", "1"), "SAFELORA_WEBHOOKS__CA_FILE", "no-such-bundle.pem"),
    ],
)
def test_what_only_its_reader_can_tell_stops_that_too(
    command: tuple[str, ...], variable: str, value: str, tmp_path: Path
) -> None:
    """A file or a device that is not there, in the process that needs it; under `up` in any."""
    code, said = started(command, {variable: value}, tmp_path)
    assert (code, said.count("\n")) == (WRONG_ARGUMENTS, 1), said
    assert said.startswith(f"error [settings_invalid]: {variable}: ")
