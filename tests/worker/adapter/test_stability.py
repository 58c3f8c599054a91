"""The same upload, policy and pair: the same bytes out, whichever process made them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from core.canonical import digest, sha256_hex
from core.policy import Extras, Policy
from core.report import ENGINE_VERSION, Report
from tests.hostile.making import (
    CONFIG_FILE,
    DOWN_PROJ,
    IN,
    MODEL,
    OUT,
    PREFIX,
    Q_PROJ,
    Folders,
    Upload,
    config,
    honest,
    make_pair,
    sanitize_upload,
    split,
)
from tests.hostile.mlx_making import mlx_config, mlx_honest
from tests.worker.making import lora
from worker.adapter.config import read_config

ROOT = Path(__file__).parents[3]
UP_PROJ = "model.layers.0.mlp.up_proj"
STRIP = Policy(extras=Extras(default="strip", codes={"dora": "strip", "bias_update": "refuse"}))
# Runs the offline command once for each upload; argv: base, aligned, policy, then in and out.
PROGRAM = """
import sys
from worker.__main__ import main
base, aligned, policy, *folders = sys.argv[1:]
pair = ["--base", base, "--aligned", aligned, "--policy", policy]
for upload, output in zip(folders[::2], folders[1::2]):
    if code := main(["sanitize", upload, "--output", output, *pair]):
        sys.exit(code)
"""


def rich() -> Upload:
    """Modules of several ranks, scales and dtypes; fields, tensors and files to be stripped."""
    tensors = {
        **lora({Q_PROJ: (OUT, IN)}),
        **{k: t.half() for k, t in lora({UP_PROJ: (OUT, IN)}, rank=3).items()},
        **{k: t.bfloat16() for k, t in lora({DOWN_PROJ: (IN, OUT)}, rank=4).items()},
        **{f"{PREFIX}{name}.weight": torch.ones(2) for name in ("norm", "ln_f", "head", "a", "b")},
    }
    fields = {f"unknown_{name}": 1 for name in "qwertz"}
    change = config(
        rank_pattern={"up_proj": 3, "down_proj": 4}, alpha_pattern={"q_proj": 6}, **fields
    )
    others = dict.fromkeys(("tokenizer.json", "README.md", "x.bin", "y.gguf"), b"x")
    return replace(change(honest()), model=save(tensors), others=others)


def of_mlx() -> Upload:
    mlx = mlx_config(**{f"unknown_{name}": 1 for name in "qwertzuiop"})(mlx_honest())
    return Upload(next(iter(mlx.others.values())), mlx.config)


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair, and the folders `rich` and `mlx`."""
    folder = tmp_path_factory.mktemp("stability")
    make_pair(folder)
    rich().write(folder / "rich")
    of_mlx().write(folder / "mlx")
    return folder


def start(uploads: Path, output: Path, seed: str) -> subprocess.Popen[bytes]:
    policy = json.dumps(STRIP.as_json())
    folders = [str(path) for n in ("rich", "mlx") for path in (uploads / n, output / n)]
    pair = [str(uploads / "base"), str(uploads / "aligned")]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *pair, policy, *folders],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=subprocess.DEVNULL,
    )


def test_bytes_do_not_depend_on_the_process(uploads: Path, tmp_path: Path) -> None:
    """Two fresh interpreters with other hash seeds: both adapters, reports and pages are equal."""
    outputs = [tmp_path / "one" / "folder", tmp_path / "another"]
    running = [start(uploads, o, s) for o, s in zip(outputs, ("1", "4242"), strict=True)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    made = [
        {str(f.relative_to(o)): sha256_hex(f.read_bytes()) for f in o.rglob("*.*") if f.is_file()}
        for o in outputs
    ]
    for files in made:
        for name in ("rich", "mlx"):
            del files[f"{name}/timings.json"]
        assert len(files) == 2 * len((CONFIG_FILE, MODEL, "report.json", "report.html"))
    assert made[0] == made[1]


def metadata_of(folder: Path, pair: Folders) -> tuple[dict[str, str], Report]:
    report = sanitize_upload(rich(), pair, folder, STRIP)
    header, _ = split((folder / "output" / MODEL).read_bytes())
    metadata: dict[str, str] = json.loads(header)["__metadata__"]
    return metadata, report


def test_metadata_is_the_recipe_and_nothing_else(uploads: Path, tmp_path: Path) -> None:
    """`format` and four entries that anyone can recompute: no job, time, path or name of the
    upload's."""
    pair = Folders(uploads / "base", uploads / "aligned")
    metadata, report = metadata_of(tmp_path, pair)
    inputs = {
        name: sha256_hex((uploads / "rich" / name).read_bytes()) for name in (MODEL, CONFIG_FILE)
    }
    assert metadata == {
        "format": "pt",
        "safelora_gate.input": digest(inputs),
        "safelora_gate.alignment": report.alignment.id if report.alignment else None,
        "safelora_gate.policy": digest(STRIP.as_json()),
        "safelora_gate.engine": ENGINE_VERSION,
    }


def test_metadata_of_the_upload_is_left_behind(uploads: Path, tmp_path: Path) -> None:
    """Whatever the upload's own header says, none of it goes out."""
    pair = Folders(uploads / "base", uploads / "aligned")
    tensors = lora({Q_PROJ: (OUT, IN)})
    claims = {"format": "evil", "safelora_gate.input": "evil", "note": "evil"}
    upload = replace(honest(), model=save(tensors, metadata=claims))
    sanitize_upload(upload, pair, tmp_path)
    header, _ = split((tmp_path / "output" / MODEL).read_bytes())
    assert json.loads(header)["__metadata__"]["format"] == "pt"
    assert b"evil" not in header
    assert b"note" not in header


def test_findings_come_in_the_order_of_whole_names() -> None:
    """Fields of MLX's config whose first 500 characters are the same: no hash decides."""
    long = {"x" * 500 + str(number): number for number in range(9)}
    _, found = read_config(mlx_config(**long)(mlx_honest()).config or b"")
    assert [f.detail for f in found if f.code == "field_unknown"] == [str(n) for n in range(9)]
