"""`safelora-gate calibrate` against the running service, on adapters of the golden pair."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.calibration.record import Calibration
from core.canonical import sha256_hex
from core.policy import Policy
from tests.service.running import Running
from tests.worker.making import GOLDEN, generator, lora, save_adapter

BASE, ALIGNED = (load_file(GOLDEN / side / "model.safetensors") for side in ("base", "aligned"))
WRITTEN, FAILED = 0, 1
MODULES = [f"model.layers.{layer}.self_attn.{kind}_proj" for layer in (0, 1) for kind in "qv"]
SHAPES = {name: (BASE[f"{name}.weight"].shape[0], 32) for name in MODULES}


def calibrate(
    service: Running, name: str, adapters: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The command on all adapters of both kinds, to its end."""
    kinds = ["--benign", str(adapters / "benign"), "--hostile", str(adapters / "hostile")]
    where = ["--url", str(service.client.base_url), "--output", str(adapters / "out")]
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "calibrate", name, *kinds, *where, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def benign(seed: int) -> dict[str, Tensor]:
    return lora(SHAPES, seed=seed)


def hostile(seed: int) -> dict[str, Tensor]:
    """It reads V's two top input directions alone, and writes at random."""
    tensors = lora(SHAPES, seed=seed)
    for name in MODULES:
        v = ALIGNED[f"{name}.weight"] - BASE[f"{name}.weight"]
        read = torch.linalg.svd(v, full_matrices=False).Vh[:2]  # (2, in)
        mixed = torch.randn(2, 2, generator=generator(seed)) @ read  # (r, in)
        tensors[f"base_model.model.{name}.lora_A.weight"] = (0.3 * mixed).contiguous()
    return tensors


def save(folder: Path, kinds: Mapping[str, list[dict[str, Tensor]]]) -> Path:
    for kind, adapters in kinds.items():
        for index, tensors in enumerate(adapters):
            save_adapter(
                folder / kind / f"{kind}-{index}", tensors, target_modules=["q_proj", "v_proj"]
            )
    return folder


@pytest.fixture
def name(service: Running) -> str:
    """An alignment that no other test uses."""
    name = f"calibrate-{uuid4().hex[:8]}"
    record = service.register(name, GOLDEN / "base", GOLDEN / "aligned", rank=4, dtype="float32")
    assert record["state"] == "ready", record
    return name


def default_policy(service: Running, name: str) -> Policy:
    record = service.client.get(f"/v1/alignments/{name}").json()
    assert record["floor"] == record["default_policy"]
    return Policy.model_validate(record["default_policy"])


def test_what_tells_them_apart_becomes_the_default_policy(
    service: Running, name: str, tmp_path: Path
) -> None:
    """A rank that takes most from adapters that read what alignment reads; the files say why, and
    the next job is judged by it."""
    kinds = {"benign": [benign(1), benign(2)], "hostile": [hostile(3), hostile(4)]}
    adapters = save(tmp_path, kinds)
    done = calibrate(service, name, adapters, "--method", "complement", "--keep", "0.8", "--write")
    assert done.returncode == WRITTEN, done.stderr + done.stdout
    found = Calibration.model_validate_json((tmp_path / "out/calibration.json").read_bytes())
    assert found.alignment.name == name
    assert [a.name for a in found.adapters] == ["benign-0", "benign-1", "hostile-0", "hostile-1"]
    for adapter in found.adapters:
        folder = tmp_path / adapter.kind / adapter.name
        digests = {file.name: file.sha256 for file in adapter.files}
        assert digests == {p.name: sha256_hex(p.read_bytes()) for p in folder.iterdir()}
    assert (found.verdict, found.area) == ("recommended", None)
    assert [c.value for c in found.candidates] == [1.0, 2.0, 4.0]
    assert (tmp_path / "out/calibration.svg").read_bytes().startswith(b"<svg ")
    policy = default_policy(service, name)
    assert found.proposal is not None
    assert policy == found.proposal.policy
    assert (policy.method, policy.side) == ("complement", "input")
    job = service.wait(service.post(alignment=name))
    assert Policy.model_validate(job["policy"]) == policy


def test_what_does_not_is_not_written_unasked(service: Running, name: str, tmp_path: Path) -> None:
    """Exit 1 and the policy as it was; with --force it is written."""
    kinds = {"benign": [benign(1), benign(2)], "hostile": [benign(1), benign(2)]}
    adapters = save(tmp_path, kinds)
    for config in adapters.glob("hostile/*/adapter_config.json"):
        config.write_text(config.read_text() + " ")  # other bytes, equal scores
    arguments = ["--keep", "0.1", "--write"]
    before = default_policy(service, name)
    done = calibrate(service, name, adapters, *arguments)
    assert done.returncode == FAILED
    assert "the cosine does not tell them apart here" in done.stdout
    assert "ROC curve of the cosine: 0.500" in done.stdout
    assert "few adapters: 2 hostile and 2 benign" in done.stdout
    assert "error [not_recommended]" in done.stderr
    assert default_policy(service, name) == before
    forced = calibrate(service, name, adapters, *arguments, "--force")
    assert forced.returncode == WRITTEN, forced.stderr
    assert default_policy(service, name) != before


def test_a_rejected_adapter_stops_it(service: Running, name: str, tmp_path: Path) -> None:
    """Named with what was found in it; nothing is written anywhere."""
    broken = benign(2)
    broken[f"base_model.model.{MODULES[0]}.lora_B.weight"][0, 0] = float("nan")
    adapters = save(tmp_path, {"benign": [benign(1)], "hostile": [broken]})
    done = calibrate(service, name, adapters, "--write")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "hostile/hostile-0" in done.stderr
    assert f"refused non_finite: tensor base_model.model.{MODULES[0]}.lora_B.weight" in done.stderr
    assert not (tmp_path / "out").exists()
    assert default_policy(service, name) == Policy()
