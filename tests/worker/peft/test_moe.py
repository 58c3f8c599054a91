"""Mixtures of experts: each expert's matrices are modules like any other, a router is none."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import (
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)

from core.errors import AdapterRejected
from tests.worker.making import lora, run, save_adapter
from tests.worker.peft.architectures import VOCABULARY
from tests.worker.peft.checks import HALF, LOGITS, PEFT_NOISE, VISIBLE, sanitize_and_check
from tests.worker.peft.models import ModelPair, train
from tests.worker.peft.moe import (
    ACTIVE,
    EXPERTS,
    FAMILIES,
    HIDDEN,
    INTERMEDIATE,
    LAYERS,
    MIXTRAL,
    QWEN2_MOE,
    Names,
    make_moe_pair,
)
from tests.worker.peft.serving import largest_difference, logits, read_written

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)
by_name = pytest.mark.parametrize("names", FAMILIES, ids=lambda n: n.model_type)
Config = Callable[[Names], dict[str, Any]]

# PEFT tells a model's class by the task, and would import one of our own otherwise.
TASK: dict[str, Any] = {"task_type": "FEATURE_EXTRACTION"}
TARGETS: dict[str, Config] = {
    "experts": lambda n: {"target_modules": n.expert},
    "experts-rslora": lambda n: {"target_modules": n.expert, "use_rslora": True},
    "experts-and-attention": lambda n: {"target_modules": ["q_proj", *n.expert]},
    "one-expert": lambda _: {"target_modules": r".*\.experts\.3\.\w+"},
    "one-matrix": lambda n: {"target_modules": [f"experts.1.{n.down}"]},
    "attention": lambda _: {"target_modules": ["q_proj", "o_proj"]},
    "patterns": lambda n: {
        "target_modules": n.expert,
        "rank_pattern": {
            f"experts.0.{n.down}": 2,
            f"^model.layers.1.{n.block}.experts.2.{n.up}": 6,
        },
        "alpha_pattern": {f"experts.1.{n.gate}": 3, f"experts.2.{n.gate}": 5.5},
    },
}


@pytest.mark.parametrize("targets", TARGETS)
@by_name
def test_experts_are_served_as_decided(names: Names, targets: str, tmp_path: Path) -> None:
    """An adapter on experts by name is judged expert by expert, and served with those logits."""
    pair = make_moe_pair(tmp_path, names)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **TARGETS[targets](names), **TASK)
    sanitize_and_check(adapter, pair, tmp_path / "out")


@pytest.mark.parametrize("family", ["gate_proj", "up_proj", "down_proj"])
def test_shared_expert_alone_is_not_taken_for_every_expert(family: str, tmp_path: Path) -> None:
    """The short name of its matrices is also that of each routed expert's."""
    pair = make_moe_pair(tmp_path, QWEN2_MOE)
    targets = [f"shared_expert.{family}"]
    adapter = train(tmp_path / "adapter", pair.aligned_model, target_modules=targets, **TASK)
    report = sanitize_and_check(adapter, pair, tmp_path / "out")
    expected = [f"model.layers.{n}.mlp.shared_expert.{family}" for n in range(LAYERS)]
    assert [row.name for row in report.modules] == expected


def spellings(path: str) -> list[str]:
    """What a router's tensors may be called for a reader to find it."""
    return [f"base_model.model.{path}", path, f"base_model.model.{path.removeprefix('model.')}"]


@pytest.mark.parametrize("infix", ["", ".default"])
@by_name
def test_router_is_refused_under_every_spelling(names: Names, infix: str, tmp_path: Path) -> None:
    """A pair of factors on a gate is `router_lora`, beside honest pairs and whatever its prefix."""
    pair = make_moe_pair(tmp_path, names)
    honest = lora({"model.layers.0.self_attn.q_proj": (HIDDEN, HIDDEN)})
    for number, router in enumerate(names.routers):
        out = pair.aligned_model.get_submodule(router).weight.shape[0]
        factors = lora({router: (out, HIDDEN)})
        for name in spellings(router):
            renamed = {
                re.sub(r"^.*\.lora_([AB])\.", rf"{name}.lora_\1{infix}.", key): tensor
                for key, tensor in factors.items()
            }
            folder = tmp_path / f"{number}-{name}"
            save_adapter(folder / "adapter", {**honest, **renamed})
            with pytest.raises(AdapterRejected) as caught:
                run(folder / "adapter", pair.base, pair.aligned, folder / "out", HALF)
            refused = [(f.code, f.subject) for f in caught.value.findings]
            assert refused == [("router_lora", f"{name}.lora_B{infix}.weight")]
            assert not list((folder / "out").iterdir())


@by_name
def test_adapter_that_was_trained_with_its_routers_is_refused(names: Names, tmp_path: Path) -> None:
    """As PEFT saves it: every router is named, no module beside it is."""
    pair = make_moe_pair(tmp_path, names)
    routers = ["gate", "shared_expert_gate"] if names.shared_expert else ["gate"]
    targets = ["q_proj", *names.expert, *routers]
    adapter = train(tmp_path / "adapter", pair.aligned_model, target_modules=targets, **TASK)
    with pytest.raises(AdapterRejected) as caught:
        run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    refused = [(f.code, f.subject) for f in caught.value.findings]
    expected = [("router_lora", f"base_model.model.{r}.lora_B.weight") for r in names.routers]
    assert sorted(refused) == sorted(expected)


def fused_model(names: Names) -> Any:
    """The architecture of transformers in the sizes of ours, its experts fused in memory."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "num_experts_per_tok": ACTIVE,
        "max_position_embeddings": 32,
    }
    if names is MIXTRAL:
        return MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=EXPERTS))
    widths = {
        "moe_intermediate_size": INTERMEDIATE,
        "shared_expert_intermediate_size": INTERMEDIATE,
    }
    config = Qwen2MoeConfig(**sizes, **widths, num_experts=EXPERTS, qkv_bias=False)
    return Qwen2MoeForCausalLM(config)


def load_fused(names: Names, folder: Path, weights: dict[str, torch.Tensor]) -> Any:
    """The model of transformers from a checkpoint with these weights by name."""
    model = fused_model(names)
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    assert load_file(file).keys() == weights.keys()
    save_file(weights, file, metadata={"format": "pt"})
    return type(model).from_pretrained(folder).eval()


def served_by_transformers(
    names: Names, pair: ModelPair, output: Path, folder: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the fused model with the adapter by PEFT, and of the checkpoint merged by hand."""
    aligned = pair.aligned_model.state_dict()
    merged = dict(aligned)
    for path, factors in read_written(output).items():
        key = f"{path}.weight"
        merged[key] = (aligned[key].double() + factors.delta).float()
    by_hand = logits(load_fused(names, folder / "merged", merged))
    model = load_fused(names, folder / "aligned", aligned)
    assert largest_difference(by_hand, logits(model)) > VISIBLE
    return logits(PeftModel.from_pretrained(model, output).eval()), by_hand


# What PEFT adds itself for fused experts fits none of the other modules, and it says so.
@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys did not match")
@pytest.mark.parametrize(
    ("names", "targets"),
    [(MIXTRAL, "attention"), (QWEN2_MOE, "attention"), (MIXTRAL, "experts")],
    ids=["mixtral-attention", "qwen2_moe-attention", "mixtral-experts"],
)
def test_transformers_own_model_serves_the_merge_by_hand(
    names: Names, targets: str, tmp_path: Path
) -> None:
    """Checkpoints have the names of transformers, which fuses the experts and still serves ours."""
    pair = make_moe_pair(tmp_path, names)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **TARGETS[targets](names), **TASK)
    run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    by_peft, by_hand = served_by_transformers(names, pair, tmp_path / "out", tmp_path / "fused")
    assert largest_difference(by_peft, by_hand) <= LOGITS * float(by_hand.abs().max())
