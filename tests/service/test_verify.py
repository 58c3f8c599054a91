"""From the upload to the platform that admits it: attested by a worker, verified by a command."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer
from tests.service.running import Json, Running, running_service, store_environment
from tests.worker.making import GOLDEN

WELL_KNOWN = "/.well-known/safelora-gate/keys"
DEFAULT = {"selection": {"mode": "threshold", "threshold": 0.35}}
WEAK = {"selection": {"mode": "threshold", "threshold": 0.2}}


@dataclass(frozen=True)
class Attesting:
    """A service whose worker has a key, and the commands on its settings."""

    running: Running
    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def rotate(self) -> str:
        done = self.command("signing-keys", "rotate")
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def sanitized(self, **policy: object) -> Json:
        accepted = self.running.post(policy=json.dumps(policy or DEFAULT))
        job = self.running.wait(accepted)
        assert job["state"] == "succeeded", job
        return job

    def download(self, job: Json) -> Path:
        """The .zip, unpacked."""
        answer = self.running.client.get(job["links"]["adapter"], follow_redirects=True)
        folder = self.folder / uuid4().hex
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            packed.extractall(folder)
        return folder

    def signer(self, job: Json) -> str:
        """The id of the key that signed what this job brought, which verifies."""
        folder = self.download(job)
        assert self.verify(folder) == (0, "")
        [signature] = json.loads((folder / "attestation.json").read_bytes())["signatures"]
        return str(signature["keyid"])

    def keys(self) -> Path:
        """The keys as they are now, kept as a platform would keep them."""
        path = self.folder / f"keys-{uuid4().hex}.json"
        path.write_bytes(self.running.client.get(WELL_KNOWN).raise_for_status().content)
        return path

    def verify(self, folder: Path, *arguments: str) -> tuple[int, str]:
        """Exit code, and what was said on stderr."""
        if "--keys" not in arguments:
            arguments = ("--keys", str(self.keys()), *arguments)
        done = self.command("verify", str(folder), *arguments)
        return done.returncode, done.stderr


@pytest.fixture(scope="module", params=["local", "s3"])
def attesting(
    request: pytest.FixtureRequest,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Attesting]:
    folder = tmp_path_factory.mktemp(f"attesting-{request.param}")
    store = StoreSettings(path=folder / "store")
    if request.param == "s3":
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFELORA_ATTESTATION__KEY", str(folder / "key.pem"))
        environment = {**os.environ, **store_environment(store)}
        made = [sys.executable, "-m", "app.cli", "signing-keys", "create"]
        subprocess.run(made, env=environment, check=True, capture_output=True)
        with running_service(
            store, valkey.url, folder, s3_allow=[], roots=[GOLDEN, folder]
        ) as running:
            record = running.register("tiny", GOLDEN / "base", GOLDEN / "aligned")
            assert record["state"] == "ready", record
            yield Attesting(running, folder, environment)


def test_downloaded_adapter_verifies(attesting: Attesting) -> None:
    """The .zip as it is unpacked, by the keys of the address and under every requirement."""
    job = attesting.sanitized()
    folder = attesting.download(job)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "attestation.json",
    ]
    floor = attesting.folder / "floor.json"
    floor.write_text(json.dumps(DEFAULT))
    url = str(attesting.running.client.base_url).rstrip("/") + WELL_KNOWN
    alignment = job["alignment"]["id"]
    required = ("--policy", str(floor), "--engine", "0.2.0", "--alignment", alignment)
    assert attesting.verify(folder, "--keys", url, *required, "--verdict", "projected") == (0, "")


def test_report_verifies_beside_the_adapter(attesting: Attesting) -> None:
    """It is attested too, so another report in its place is told."""
    job = attesting.sanitized()
    folder = attesting.download(job)
    report = attesting.running.client.get(f"{job['links']['report']}.json").content
    (folder / "report.json").write_bytes(report)
    assert attesting.verify(folder) == (0, "")
    (folder / "report.json").write_bytes(report.replace(b"projected", b"unchanged", 1))
    code, said = attesting.verify(folder)
    assert (code, "digest_differs" in said) == (3, True)


def test_what_submit_brings_verifies(attesting: Attesting) -> None:
    """The folder as the command leaves it, with its report."""
    output = attesting.folder / uuid4().hex
    policy = json.dumps({"selection": {"threshold": 0.4}})
    done = attesting.command(
        "submit", str(GOLDEN / "adapter"), "--alignment", "tiny", "--policy", policy,
        "--output", str(output), "--url", str(attesting.running.client.base_url),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in output.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "attestation.json",
        "report.json",
    ]
    assert attesting.verify(output) == (0, "")


def test_original_in_place_of_the_result_does_not_verify(attesting: Attesting) -> None:
    """What was uploaded is not what came out."""
    folder = attesting.download(attesting.sanitized())
    original = (GOLDEN / "adapter" / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(original)
    code, said = attesting.verify(folder)
    assert (code, "adapter_model.safetensors" in said) == (3, True)


def test_weaker_policy_does_not_pass_the_floor(attesting: Attesting) -> None:
    """Honestly attested, and told as weaker; with no floor required it verifies."""
    folder = attesting.download(attesting.sanitized(**WEAK))
    floor = attesting.folder / "floor.json"
    floor.write_text(json.dumps(DEFAULT))
    assert attesting.verify(folder) == (0, "")
    code, said = attesting.verify(folder, "--policy", str(floor))
    assert (code, "policy_below_floor" in said) == (3, True)


def test_scored_is_not_attested(attesting: Attesting) -> None:
    """There is no adapter, so nothing to admit."""
    job = attesting.sanitized(selection={"mode": "none"})
    assert job["verdict"] == "scored"
    assert "attestation" not in job["links"]
    answer = attesting.running.client.get(f"/v1/jobs/{job['id']}/attestation")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_adapter")


def test_adapter_with_its_attestation_can_be_posted_again(attesting: Attesting) -> None:
    """A downloaded .zip is an upload too: the attestation is noted, and not carried over."""
    job = attesting.sanitized()
    packed = attesting.running.client.get(job["links"]["adapter"], follow_redirects=True).content
    again = attesting.running.wait(attesting.running.post({"archive": packed}))
    assert again["state"] == "succeeded", again
    [found] = [f for f in again["findings"] if f["code"] == "file_not_carried"]
    assert found["subject"] == "attestation.json"
    assert attesting.verify(attesting.download(again)) == (0, "")


def test_rotation_and_retirement(attesting: Attesting) -> None:
    """What the old key signed verifies until that is retired; then it is made and signed anew."""
    policy = {"selection": {"mode": "threshold", "threshold": 0.37}}
    old = attesting.download(attesting.sanitized(**policy))
    [before] = json.loads((old / "attestation.json").read_bytes())["signatures"]
    kept = attesting.keys()

    after = attesting.rotate()
    assert after != before["keyid"]
    assert attesting.verify(old) == (0, "")
    fresh = attesting.download(attesting.sanitized(selection={"threshold": 0.38}))
    [signed] = json.loads((fresh / "attestation.json").read_bytes())["signatures"]
    assert signed["keyid"] == after
    code, said = attesting.verify(fresh, "--keys", str(kept))
    assert (code, "key_unknown" in said) == (3, True)

    assert attesting.command("signing-keys", "retire", before["keyid"]).returncode == 0
    code, said = attesting.verify(old)
    assert (code, "key_retired" in said) == (3, True)
    again = attesting.download(attesting.sanitized(**policy))
    assert attesting.verify(again) == (0, "")
    weights = "adapter_model.safetensors"
    assert (again / weights).read_bytes() == (old / weights).read_bytes()


def test_worker_signs_with_the_file_that_it_has(attesting: Attesting, tmp_path: Path) -> None:
    """Rotated on another machine, it goes on with the old key, which verifies; once the new file is
    brought in the old one's place it signs with that, without a new start."""
    elsewhere = Path(shutil.copy(attesting.folder / "key.pem", tmp_path))
    setting = {"SAFELORA_ATTESTATION__KEY": str(elsewhere)}
    there = replace(attesting, environment=attesting.environment | setting)
    before = attesting.signer(attesting.sanitized(selection={"threshold": 0.39}))
    after = there.rotate()
    assert attesting.signer(attesting.sanitized(selection={"threshold": 0.41})) == before
    brought = Path(shutil.copy(elsewhere, attesting.folder / "key.new"))
    brought.replace(attesting.folder / "key.pem")
    assert attesting.signer(attesting.sanitized(selection={"threshold": 0.42})) == after
