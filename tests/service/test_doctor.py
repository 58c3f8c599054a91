"""`safelora-gate doctor` as a command, at a whole gate and at none."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.exit_codes import DONE, FAILED, WRONG_ARGUMENTS
from core.store.settings import StoreSettings
from safelora import Gate
from tests.servers import SeaweedServer
from tests.service.running import store_environment
from tests.service.up import key_in, up, url_in
from tests.worker.making import GOLDEN

SMALL = {
    "SAFELORA_LIMITS__UPLOAD": "1048576",
    "SAFELORA_ALIGNMENTS__DISK_BYTES": "1048576",
    "SAFELORA_ALIGNMENTS__RAM_BYTES": "1048576",
}
OF_THE_MACHINE = {"scratch", "alignments' disk", "store folder", "worker's products"}
"""A file system in memory, or another processor, is no fault of the gate's."""


def doctor(
    *arguments: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "doctor", *arguments],
        env={**os.environ, **(settings or {})},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def checks(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    return found


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_gate_that_lacks_nothing_is_sound(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every part of `up` with an alignment, on each kind of store: exit 0, and nothing to do."""
    settings = dict(SMALL)
    if kind == "s3":
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
        settings |= store_environment(store)
    data = tmp_path / "data"
    with up(data, "--checkpoints", str(GOLDEN), environment=settings) as (_, said):
        with Gate(url_in(said), key_in(said)) as gate:
            pair = (str(GOLDEN / "base"), str(GOLDEN / "aligned"))
            gate.wait_for_alignment(gate.register("tiny", *pair))
        done = doctor("--data", str(data), "--json", settings=settings)
        table = doctor("--data", str(data), settings=settings)
    assert (done.returncode, done.stderr) == (DONE, ""), done.stdout
    found = checks(done)
    assert [c for c in found if c["state"] != "ok" and c["name"] not in OF_THE_MACHINE] == []
    assert {"workers", "courier", "alignment", "store conditional put"} <= {
        check["name"] for check in found
    }
    assert table.returncode == DONE
    told = [line[9:31].rstrip() for line in table.stdout.splitlines() if line[:1] != " "][:-1]
    assert told == [check["name"] for check in found]


def test_what_is_missing_fails_it(tmp_path: Path) -> None:
    """Exit 1 where no part runs; each thing that is wrong has what to do."""
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    done = doctor("--data", str(data), "--json")
    assert done.returncode == FAILED
    failures = {check["name"] for check in checks(done) if check["state"] == "failed"}
    assert failures == {"redis", "signing key"}
    assert all(check["do"] for check in checks(done) if check["state"] != "ok")


def test_settings_that_are_wrong_fail_it(tmp_path: Path) -> None:
    """Exit 1 with each variable; a folder that is no gate's is a wrong argument."""
    wrong = {"SAFELORA_QUEUE__LEASE": "soon", "SAFELORA_WEBHOOKS__TIMEOUT": "0"}
    done = doctor("--json", settings=wrong)
    assert done.returncode == FAILED
    assert [check["found"].partition(":")[0] for check in checks(done)] == list(wrong)
    done = doctor("--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (WRONG_ARGUMENTS, "")
