"""The dry run: what an alignment would take, from headers alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker.making import GOLDEN
from worker.alignment.build import build_alignment
from worker.alignment.dry_run import GIGABYTE, TIERS, job_seconds, main
from worker.alignment.pair import Pair
from worker.alignment.plan import Stored, plan

# Llama-2-7B as its config.json has it
HIDDEN, MIDDLE, LAYERS, VOCABULARY = 4096, 11008, 32, 32000
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def body_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")


@pytest.mark.parametrize("rank", [4, 64])
def test_plan_is_what_is_built(tmp_path: Path, rank: int) -> None:
    """To the byte, for V in 32 bits, U and Z, and what the q and v modules take of both."""
    with Pair(GOLDEN / "base", GOLDEN / "aligned") as pair:
        planned = plan(pair, rank)
        manifest = build_alignment(pair, tmp_path, dtype="float32", rank=rank, step=lambda *_: None)
    modules = manifest.modules
    v = {m.name: body_bytes(tmp_path / m.shard) for m in modules}
    spectrum = {m.name: body_bytes(tmp_path / m.spectrum_shard) for m in modules}
    assert planned.whole.modules == len(modules)
    wide, narrow = planned.whole.wide, planned.whole.narrow
    assert (wide.v, narrow.v) == (sum(v.values()), sum(v.values()) // 2)
    assert (wide.spectrum, narrow.spectrum) == (sum(spectrum.values()),) * 2
    names = [name for name in v if name.endswith((".q_proj", ".v_proj"))]
    assert planned.attention.modules == len(names)
    assert planned.attention.wide.total == sum(v[name] + spectrum[name] for name in names)
    assert planned.largest.wide.total == max(v[name] + spectrum[name] for name in v)
    assert planned.linear.wide.v == sum(v[name] for name in v if name != "lm_head")


def llama(folder: Path) -> Path:
    """A file of Llama-2-7B's shapes that holds no weight: its body is one hole."""
    shapes = {"model.embed_tokens": (VOCABULARY, HIDDEN), "lm_head": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}"
        shapes |= {f"{block}.self_attn.{name}": (HIDDEN, HIDDEN) for name in ATTENTION}
        shapes |= {f"{block}.mlp.{name}": (MIDDLE, HIDDEN) for name in ("gate_proj", "up_proj")}
        shapes[f"{block}.mlp.down_proj"] = (HIDDEN, MIDDLE)
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * shape[0] * shape[1]
        header[f"{name}.weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    folder.mkdir()
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    config = {"model_type": "llama", "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_llama_2_7b_is_planned_from_its_headers(tmp_path: Path) -> None:
    """13 GB in 16 bits, of which a q/v adapter touches 2.2; no weight is read for it."""
    with Pair(llama(tmp_path / "base"), llama(tmp_path / "aligned")) as pair:
        planned = plan(pair, 64)
    linear = 32 * (4 * HIDDEN**2 + 3 * HIDDEN * MIDDLE) + VOCABULARY * HIDDEN
    assert (planned.whole.modules, planned.whole.narrow.v) == (7 * LAYERS + 1, 2 * linear)
    assert planned.attention.modules == 2 * LAYERS
    assert planned.attention.narrow.v == 2 * 2 * LAYERS * HIDDEN**2
    assert 2 * 13 < planned.reads / GIGABYTE < 2 * 13.5


def test_each_tier_is_slower_than_the_one_before() -> None:
    """And what is too large for Redis takes as long as from the store."""
    gigabyte = Stored(v=GIGABYTE, spectrum=0, past_redis=0)
    seconds = job_seconds(gigabyte)
    assert tuple(seconds) == TIERS
    assert list(seconds.values()) == sorted(seconds.values())
    assert seconds["memory"] == pytest.approx(0.1)
    assert seconds["Redis"] < seconds["store"]
    large = job_seconds(replace(gigabyte, past_redis=GIGABYTE))
    assert large["Redis"] == large["store"] == seconds["store"]


def test_unusable_pairs_and_arguments_have_their_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 for a pair that could not be built, 2 for what is no folder here, 0 with the table."""
    base, aligned = f"--base={GOLDEN / 'base'}", f"--aligned={GOLDEN / 'aligned'}"
    assert main([base, f"--aligned={tmp_path}"]) == 1
    assert "checkpoint_missing" in capsys.readouterr().err
    assert main([base, aligned, "--module=nothing"]) == 1
    assert "module_not_in_pair" in capsys.readouterr().err
    assert main([base, "--aligned=s3://models/x"]) == 2
    assert capsys.readouterr().out == ""
    assert main([base, aligned, "--module=q_proj"]) == 0
    shown = capsys.readouterr().out
    assert "U and Z, 64 directions" in shown
    assert "a job on q and v: 11 modules" in shown
