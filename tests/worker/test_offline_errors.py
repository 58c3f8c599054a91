"""`python -m worker sanitize` where it cannot: exit 1 for a bad pair, 2 for bad arguments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.alignments import MANIFEST_FILE, Manifest
from tests.worker.desk import FAILED, MODULES, Q_PROJ, WRONG_ARGUMENTS, Desk, build, make_desk
from worker.__main__ import main


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return make_desk(tmp_path, capsys)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ('{"method": "subspace", "rank": 4}', "alignment_rank_too_small"),
        ('{"method": "subspace", "energy_share": 0.999}', "alignment_rank_too_small"),
    ],
)
def test_policy_beyond_a_ready_alignment_is_a_wrong_argument(
    policy: str, code: str, desk: Desk
) -> None:
    """Exit 2: the alignment holds too few directions for what is asked."""
    ended = desk.run("--alignment", str(build(desk, rank=2)), "--policy", policy)
    assert ended.code == WRONG_ARGUMENTS
    assert f"error [{code}]" in ended.err
    assert desk.nothing_made()


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ('{"selection": {"threshold": 2}}', "policy_invalid"),
        ('{"selection": {"threshold": NaN}}', "policy_invalid"),
        ('{"method": "subspace"}', "policy_invalid"),
        ('{"method": "zero", "method": "safe_lora"}', "policy_invalid"),
        ('{"unknown": 1}', "policy_invalid"),
        ("{", "policy_invalid"),
        ("no-such-file.json", "policy_unreadable"),
        ("", "policy_unreadable"),
    ],
)
def test_bad_policy_is_a_wrong_argument(policy: str, code: str, desk: Desk) -> None:
    """Exit 2, with the code and what to change."""
    ended = desk.run(*desk.pair, "--policy", policy)
    assert ended.code == WRONG_ARGUMENTS
    assert f"error [{code}]" in ended.err
    assert desk.nothing_made()


def test_pair_or_alignment_is_needed_and_not_both(desk: Desk) -> None:
    """Exit 2 for none, half a pair, and a pair beside an alignment."""
    alignment = ("--alignment", str(desk.folder))
    for given in ((), desk.pair[:2], desk.pair[2:], (*desk.pair, *alignment)):
        ended = desk.run(*given)
        assert ended.code == WRONG_ARGUMENTS
        assert "give --base and --aligned, or --alignment" in ended.err
    assert desk.nothing_made()


def test_folders_that_are_none_are_wrong_arguments(desk: Desk) -> None:
    """Exit 2, naming the folder."""
    nowhere = desk.folder / "nowhere"
    for ended in (
        desk.run(*desk.pair, adapter=nowhere),
        desk.run(*desk.pair, adapter=desk.adapter / "adapter_config.json"),
        desk.run("--base", str(nowhere), "--aligned", str(desk.aligned)),
        desk.run("--base", str(desk.base), "--aligned", str(nowhere)),
        desk.run("--alignment", str(nowhere)),
    ):
        assert ended.code == WRONG_ARGUMENTS
        assert "is no folder" in ended.err
    assert desk.nothing_made()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_output_in_use_is_a_wrong_argument(kind: str, desk: Desk) -> None:
    """Exit 2, and what lies there stays."""
    desk.output.parent.mkdir()
    mine = desk.output
    if kind == "folder":
        desk.output.mkdir()
        mine = desk.output / "mine"
    mine.write_text("mine")
    ended = desk.run(*desk.pair)
    assert ended.code == WRONG_ARGUMENTS
    assert "exists and is not empty" in ended.err
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("arguments", [[], ["sanitize"], ["sanitize", "x"], ["polish", "x"]])
def test_arguments_that_do_not_parse_are_wrong(arguments: list[str], desk: Desk) -> None:
    """Exit 2, as argparse has it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == WRONG_ARGUMENTS
    assert "usage: python -m worker" in desk.capsys.readouterr().err


def identical(desk: Desk) -> None:
    (desk.base / "model.safetensors").write_bytes((desk.aligned / "model.safetensors").read_bytes())


def missing_shard(desk: Desk) -> None:
    (desk.aligned / "model.safetensors").rename(desk.aligned / "model-00001-of-00002.safetensors")
    shards = {f"{name}.weight": "model-00001-of-00002.safetensors" for name in MODULES}
    shards["lm_head.weight"] = "model-00002-of-00002.safetensors"
    index = desk.aligned / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))


def shard_elsewhere(desk: Desk) -> None:
    index = desk.aligned / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../base/model.safetensors"}}))


def quantised(desk: Desk) -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}
    (desk.base / "config.json").write_text(json.dumps(config))


def pickled(desk: Desk) -> None:
    (desk.base / "model.safetensors").rename(desk.base / "pytorch_model.bin")


def no_weights(desk: Desk) -> None:
    (desk.base / "model.safetensors").unlink()


def no_config(desk: Desk) -> None:
    (desk.aligned / "config.json").unlink()


def cut(desk: Desk) -> None:
    path = desk.aligned / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def other_architecture(desk: Desk) -> None:
    (desk.aligned / "config.json").write_text('{"model_type": "gpt2"}')


def not_finite(desk: Desk) -> None:
    weights = load_file(desk.base / "model.safetensors")
    weights[f"{Q_PROJ}.weight"][0, 0] = torch.nan
    save_file(weights, desk.base / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (identical, "pair_identical"),
        (missing_shard, "checkpoint_missing"),
        (shard_elsewhere, "checkpoint_missing"),
        (quantised, "checkpoint_quantised"),
        (pickled, "checkpoint_pickled"),
        (no_weights, "checkpoint_missing"),
        (no_config, "checkpoint_missing"),
        (cut, "checkpoint_unreadable"),
        (other_architecture, "pair_architecture_differs"),
        (not_finite, "checkpoint_non_finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_unusable_pair_fails_and_is_not_the_adapters_fault(
    spoil: Callable[[Desk], None], code: str, desk: Desk
) -> None:
    """Exit 1, with the code; nothing is published."""
    spoil(desk)
    ended = desk.run(*desk.pair)
    assert ended.code == FAILED
    assert f"error [{code}]" in ended.err
    assert desk.nothing_made()


def test_folder_without_manifest_is_no_alignment(desk: Desk) -> None:
    """Exit 1: a checkpoint named as `--alignment`, say."""
    ended = desk.run("--alignment", str(desk.aligned))
    assert ended.code == FAILED
    assert "error [alignment_unreadable]" in ended.err
    assert desk.nothing_made()


def of_the_schema_before(manifest: dict[str, Any]) -> None:
    manifest["schema"] = "safelora-gate/alignment/1"
    del manifest["weights"]


def with_a_weight_of_another_model(manifest: dict[str, Any]) -> None:
    manifest["weights"]["model.embed_tokens.weight"]["sha256"] = "0" * 64


def with_a_weight_less(manifest: dict[str, Any]) -> None:
    del manifest["weights"]["model.embed_tokens.weight"]


@pytest.mark.parametrize(
    "change", [of_the_schema_before, with_a_weight_of_another_model, with_a_weight_less]
)
def test_manifest_of_another_version_or_id_is_not_used(
    change: Callable[[dict[str, Any]], None], desk: Desk
) -> None:
    """Exit 1, with what to do; nothing is judged by it."""
    folder = build(desk)
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    change(manifest)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    ended = desk.run("--alignment", str(folder))
    assert ended.code == FAILED
    assert "error [alignment_unreadable]" in ended.err
    assert "delete its name and register the pair again" in ended.err
    assert desk.nothing_made()


def test_damaged_alignment_is_not_used(desk: Desk) -> None:
    """Exit 1: one bit of V other than built, and nothing is judged by it."""
    folder = build(desk)
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    shard = folder / next(module.shard for module in manifest.modules if module.name == Q_PROJ)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    ended = desk.run("--alignment", str(folder))
    assert ended.code == FAILED
    assert "error [alignment_damaged]" in ended.err
    assert desk.nothing_made()
