"""Completion in a shell, and help: what they offer, and what they do without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.terminal.lazy import load
from core.jobs import JobState
from core.scopes import SCOPES


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def completed(line: str) -> set[str]:
    """What bash is offered for the last word of the line."""
    words = line.split(" ")
    done = run(
        "from app.cli import main; main()",
        _SAFELORA_GATE_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("safelora-gate ", set(COMMANDS)),
        ("safelora-gate sub", {"submit"}),
        ("safelora-gate jobs ca", {"cancel"}),
        ("safelora-gate report --b", {"--by"}),
        ("safelora-gate report --by ", {"cosine", "retained", "signed", "update_ratio"}),
        ("safelora-gate jobs list --state r", {"running", "rejected"}),
        ("safelora-gate jobs list --state ", set(JobState)),
        ("safelora-gate keys create --scope ", set(SCOPES)),
    ],
)
def test_words_are_completed(line: str, offered: set[str]) -> None:
    """Commands, theirs, options, and what options take."""
    assert completed(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    """By the script that `--show-completion` prints."""
    done = run("from app.cli import main; main()", _SAFELORA_GATE_COMPLETE=f"source_{shell}")
    assert done.returncode == 0, done.stderr
    assert f"complete_{shell}" in done.stdout
    assert "safelora-gate" in done.stdout


def test_completion_in_a_real_shell(tmp_path: Path) -> None:
    """bash fills in what the script of this command has it ask."""
    command = tmp_path / "safelora-gate"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli "$@"\n')
    command.chmod(0o755)
    script = """
        eval "$(_SAFELORA_GATE_COMPLETE=source_bash safelora-gate)"
        COMP_WORDS=(safelora-gate jobs sh) COMP_CWORD=2
        _safelora_gate_completion safelora-gate
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "show\n", done.stderr


def test_help_and_completion_load_nothing_of_the_service() -> None:
    """Else each press of Tab would wait for what no word of it needs."""
    heavy = "{'httpx2', 'redis', 'boto3', 'fastapi', 'cryptography', 'safelora', 'core'}"
    code = f"""
import sys
from app.cli import main
sys.argv = ["safelora-gate", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit:
    loaded = {{name.partition(".")[0] for name in sys.modules}}
    sys.exit(sorted(loaded & {heavy}) or 0)
"""
    assert run(code).returncode == 0
    offered = run(code, _SAFELORA_GATE_COMPLETE="complete_bash", COMP_WORDS="x s", COMP_CWORD="1")
    assert (offered.returncode, offered.stdout.split()) == (0, ["serve", "submit", "signing-keys"])


@pytest.mark.parametrize("name", COMMANDS)
def test_what_help_lists_is_what_the_command_says(name: str) -> None:
    """The list has a copy of it, since it loads no command."""
    command = load(COMMANDS[name])
    assert (command.help or "").startswith(COMMANDS[name].help)
