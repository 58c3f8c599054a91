"""The examples run as they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.policy import Policy, parse_policy
from core.store.layout import ADAPTER_MODEL
from tests.attested import key_set, publish, report, seed
from tests.hostile.attestations import FORGERIES

ROOT = Path(__file__).parent.parent
KEY = seed(1)


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    folder = tmp_path / "trust"
    folder.mkdir()
    (folder / "keys.json").write_bytes(key_set([KEY]))
    (folder / "floor.json").write_text(json.dumps(Policy().as_json()))
    (tmp_path / "shelf").mkdir()
    return folder


def admit(arrived: Path, trust: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "examples/admit.py", str(arrived), str(trust.parent / "shelf")]
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, str(trust)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_adapter_that_verifies_is_admitted(tmp_path: Path, trust: Path) -> None:
    """It lies on the shelf under its own name, byte for byte, and nothing else does."""
    arrived = publish(tmp_path / "mine", KEY)
    done = admit(arrived, trust)
    assert (done.returncode, done.stderr) == (0, "")
    [shelved] = (tmp_path / "shelf").iterdir()
    assert shelved.name == "mine"
    assert {p.name: p.read_bytes() for p in shelved.iterdir()} == {
        p.name: p.read_bytes() for p in arrived.iterdir()
    }


def test_any_other_adapter_is_not(tmp_path: Path, trust: Path) -> None:
    """Changed, under a weaker policy, or signed by another: its code is told, nothing is kept."""
    changed = publish(tmp_path / "changed", KEY)
    (changed / ADAPTER_MODEL).write_bytes(b"x")
    weak = publish(tmp_path / "weak", KEY, report(parse_policy(b'{"strength": 0.5}')))
    strange = publish(tmp_path / "strange", seed(2))
    linked = publish(tmp_path / "linked", KEY)
    (linked / ADAPTER_MODEL).rename(tmp_path / "elsewhere")
    (linked / ADAPTER_MODEL).symlink_to(tmp_path / "elsewhere")
    for arrived, code in (
        (changed, "size_differs"),
        (weak, "policy_below_floor"),
        (strange, "key_unknown"),
        (linked, "symlink"),
    ):
        done = admit(arrived, trust)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{code}: ")
        assert list((tmp_path / "shelf").iterdir()) == []


def test_example_fits_a_glance() -> None:
    """Twenty lines without those that are empty or only explain."""
    lines = (ROOT / "examples" / "admit.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 20


def test_documentation_shows_the_example_as_it_is() -> None:
    """What is read is what was tested."""
    [shown] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "provenance.md").read_text(), re.S
    )
    assert (ROOT / "examples" / "admit.py").read_text().endswith("\n\n" + shown)


def test_documentation_names_every_code() -> None:
    """And none that there is not."""
    text = (ROOT / "docs" / "provenance.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| ", text[text.index("| codes |") :].partition("\n\n")[0], re.M)
    told = {code for row in rows for code in re.findall(r"`([a-z_0-9]+)`", row)}
    forged = {forgery.code for forgery in FORGERIES}
    required = {"policy_below_floor", "engine_too_old"}
    required |= {"alignment_not_allowed", "verdict_not_allowed"}
    assert told == forged | required | {"file_unreadable"}
