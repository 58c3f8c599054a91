"""Which modules PEFT will adapt when it reads the output: those that have tensors, no other."""

import copy
import json
from pathlib import Path

import pytest
import torch
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from tests.worker.making import generator, run
from tests.worker.peft.architectures import GPT2, LLAMA, default_targets
from tests.worker.peft.checks import HALF, PEFT_NOISE, sanitize_and_check
from tests.worker.peft.models import make_pair, save_pair, train
from tests.worker.peft.serving import load_strictly

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)


def test_whole_families_are_named_shortly(tmp_path: Path) -> None:
    """An adapter on every module of its families goes out with the families, as PEFT saves it."""
    pair = make_pair(tmp_path, LLAMA)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **default_targets(LLAMA))
    sanitize_and_check(adapter, pair, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert written["target_modules"] == LLAMA.short_names


def test_part_of_a_family_is_named_module_by_module(tmp_path: Path) -> None:
    """`attn.c_proj` without `mlp.c_proj`: the family's name would reach both."""
    pair = make_pair(tmp_path, GPT2)
    config = {**default_targets(GPT2), "target_modules": ["attn.c_proj"]}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    sanitize_and_check(adapter, pair, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert written["target_modules"] == [f"transformer.h.{n}.attn.c_proj" for n in (0, 1)]


def test_family_that_also_names_a_convolution_is_named_module_by_module(tmp_path: Path) -> None:
    """Qwen2-VL's `attn.proj` is linear, its `patch_embed.proj` is not: PEFT would adapt both."""
    torch.manual_seed(1)
    config = Qwen2VLVisionConfig(depth=2, embed_dim=32, hidden_size=32, num_heads=4, mlp_ratio=2)
    base = Qwen2VisionTransformerPretrainedModel(config).eval()
    aligned = copy.deepcopy(base)
    random = generator(2)
    with torch.no_grad():
        for block in aligned.blocks:
            block.attn.proj.weight += torch.randn(32, 32, generator=random) * 0.01
    pair = save_pair(tmp_path, base, aligned)
    adapter = train(
        tmp_path / "adapter",
        aligned,
        target_modules=r"blocks\.\d+\.attn\.proj",
        task_type=None,
        size=0.01,
    )
    run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    load_strictly(aligned, tmp_path / "out")
