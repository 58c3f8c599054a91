"""Checkpoints as they come: sharded, in 16 bits, without the model prefix, in any order."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.worker.making import run
from tests.worker.peft.architectures import (
    ARCHITECTURES,
    GPT2,
    LLAMA,
    PREFIXED,
    Architecture,
    default_targets,
)
from tests.worker.peft.checks import HALF, PEFT_NOISE, output_bytes, sanitize_and_check
from tests.worker.peft.models import ModelPair, build, make_pair, save_pair, train

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)
prefixed = pytest.mark.parametrize("architecture", PREFIXED, ids=lambda a: a.name)
by_name = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_in_order(file: Path, tensors: dict[str, Tensor], seed: int) -> None:
    """A safetensors file by hand: data in one random order, names in the header in another."""
    shuffle = random.Random(seed)
    header: dict[str, Any] = {}
    body = b""
    for name in shuffle.sample(sorted(tensors), len(tensors)):
        data = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    names = shuffle.sample(sorted(header), len(header))
    text = json.dumps({name: header[name] for name in names}).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)


@by_name
def test_sharded_checkpoints_give_the_same_bytes(
    architecture: Architecture, tmp_path: Path
) -> None:
    """However the pair is cut into files, both output files and the report stay byte for byte."""
    whole = make_pair(tmp_path / "whole", architecture)
    sharded = save_pair(
        tmp_path / "sharded", whole.base_model, whole.aligned_model, max_shard_size="20KB"
    )
    assert len(list(sharded.aligned.glob("*.safetensors"))) > 2
    adapter = train(tmp_path / "adapter", whole.aligned_model, **default_targets(architecture))
    reports = [
        run(adapter, pair.base, pair.aligned, tmp_path / name, HALF).as_bytes()
        for name, pair in (("a", whole), ("b", sharded))
    ]
    assert output_bytes(tmp_path / "a") == output_bytes(tmp_path / "b")
    assert reports[0] == reports[1]


@by_name
def test_order_of_tensors_changes_nothing(architecture: Architecture, tmp_path: Path) -> None:
    """Tensors shuffled within checkpoints and adapter give the same two files, byte for byte."""
    pair = make_pair(tmp_path, architecture)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **default_targets(architecture))
    run(adapter, pair.base, pair.aligned, tmp_path / "a", HALF)
    files = [folder / "model.safetensors" for folder in (pair.base, pair.aligned)]
    for seed, file in enumerate([*files, adapter / "adapter_model.safetensors"]):
        before = file.read_bytes()
        write_in_order(file, load_file(file), seed)
        assert file.read_bytes() != before
    run(adapter, pair.base, pair.aligned, tmp_path / "b", HALF)
    assert output_bytes(tmp_path / "a") == output_bytes(tmp_path / "b")


@pytest.mark.parametrize(
    "dtypes",
    [(torch.bfloat16,) * 2, (torch.float16,) * 2, (torch.float32, torch.bfloat16)],
    ids=["bfloat16", "float16", "float32-bfloat16"],
)
@by_name
def test_16_bit_checkpoints_work(
    architecture: Architecture, dtypes: tuple[torch.dtype, torch.dtype], tmp_path: Path
) -> None:
    """V is the difference of the weights as stored, whatever dtype either checkpoint is in."""
    base, aligned = (m.to(d) for m, d in zip(build(architecture), dtypes, strict=True))
    saved = save_pair(tmp_path, base, aligned)
    pair = replace(saved, base_model=base.float(), aligned_model=aligned.float())
    adapter = train(tmp_path / "adapter", pair.aligned_model, **default_targets(architecture))
    sanitize_and_check(adapter, pair, tmp_path / "out")


@prefixed
def test_checkpoint_without_prefix_serves_an_adapter_with_it(
    architecture: Architecture, tmp_path: Path
) -> None:
    """Saved from the class without a head (`h.0…`), the pair fits an adapter for the head class."""
    base, aligned = build(architecture)
    bare = save_pair(tmp_path, base.base_model, aligned.base_model)
    names = load_file(bare.base / "model.safetensors")
    prefix = architecture.blocks.partition(".")[0]
    assert not any(name.startswith(f"{prefix}.") for name in names)
    pair = ModelPair(base, aligned, bare.base, bare.aligned)
    adapter = train(tmp_path / "adapter", aligned, **default_targets(architecture))
    sanitize_and_check(adapter, pair, tmp_path / "out")


@prefixed
def test_checkpoint_with_prefix_serves_an_adapter_without_it(
    architecture: Architecture, tmp_path: Path
) -> None:
    """An adapter for the class without a head keeps its names and loads there."""
    base, aligned = build(architecture)
    whole = save_pair(tmp_path, base, aligned)
    pair = ModelPair(base.base_model, aligned.base_model, whole.base, whole.aligned)
    config = {**default_targets(architecture), "task_type": "FEATURE_EXTRACTION"}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    sanitize_and_check(adapter, pair, tmp_path / "out")


@pytest.mark.parametrize("layers", [1, 3, 12])
@pytest.mark.parametrize("architecture", [LLAMA, GPT2], ids=lambda a: a.name)
def test_number_of_layers_does_not_matter(
    architecture: Architecture, layers: int, tmp_path: Path
) -> None:
    """From one block to twelve, where block 1's name begins the names of 10 and 11."""
    pair = make_pair(tmp_path, architecture, num_hidden_layers=layers)
    chosen = {"layers_to_transform": [1, 10]} if layers == 12 else {}
    config = {**default_targets(architecture), **chosen}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    report = sanitize_and_check(adapter, pair, tmp_path / "out")
    assert {row.layer for row in report.modules} == ({1, 10} if chosen else set(range(layers)))
