"""The way round every projection: tensors that stock PEFT hands to the base model itself.

PEFT loads an adapter with strict=False, so that a key which is no LoRA factor overwrites the
weight of that name, with `modules_to_save: null` and without a warning.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor

from core.errors import AdapterRejected
from core.policy import Extras, Policy
from tests.hostile.llamas import (
    HIDDEN,
    PEFT_NOISE,
    Q_PROJ,
    VOCABULARY,
    aligned_model,
    logits,
    serve,
    zero_lora,
)
from tests.hostile.making import Folders
from tests.worker.making import generator, lora, run, save_adapter

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)


@dataclass(frozen=True)
class Overwrite:
    """One more tensor in an adapter: its name behind `base_model.model.`, and the parameter of
    the PEFT model that it replaces."""

    key: str
    parameter: str
    code: str
    also: tuple[tuple[str, str], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def tensor(self) -> str:
        return f"base_model.model.{self.key}"


FORMS = [
    Overwrite("model.norm.weight", "model.norm.weight", "base_overwrite"),
    Overwrite(f"{Q_PROJ}.base_layer.weight", f"{Q_PROJ}.base_layer.weight", "base_overwrite"),
    Overwrite("lm_head.weight", "lm_head.weight", "base_overwrite"),
    Overwrite(
        "lm_head.base_layer.weight",
        "lm_head.base_layer.weight",
        "base_overwrite",
        config={"target_modules": ["q_proj", "lm_head"]},
    ),
    Overwrite("model.embed_tokens.weight", "model.embed_tokens.weight", "base_overwrite"),
    Overwrite(f"{Q_PROJ}.base_layer.bias", f"{Q_PROJ}.base_layer.bias", "bias_update"),
    Overwrite(
        "lm_head.weight",
        "lm_head.modules_to_save.default.weight",
        "base_overwrite",
        also=(("modules_to_save", "modules_to_save"),),
        config={"modules_to_save": ["lm_head"]},
    ),
]


def parameter_of(model: Any, name: str) -> Tensor:
    found: Tensor = dict(model.named_parameters())[f"base_model.model.{name}"]
    return found


def hostile_adapter(folder: Path, form: Overwrite, aligned: Any) -> tuple[Path, Tensor]:
    """The folder, and the tensor that overwrites."""
    tensors = zero_lora()
    if "lm_head" in form.config.get("target_modules", ()):
        head = lora({"lm_head": (VOCABULARY, HIDDEN)})
        tensors |= {k: torch.zeros_like(t) for k, t in head.items()}
    name = form.key.replace(".base_layer", "")
    original = dict(aligned.named_parameters())[name]
    poison = torch.randn(original.shape, generator=generator(9))
    config = {"target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **form.config}
    return save_adapter(folder, {**tensors, form.tensor: poison}, **config), poison


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.parameter)
def test_what_overwrites_the_base_in_stock_peft_is_refused_here(
    form: Overwrite, llamas: Folders, tmp_path: Path
) -> None:
    """PEFT takes the tensor for the base model's own, without a word; we refuse it by its name."""
    aligned = aligned_model(llamas)
    before = logits(aligned)
    folder, poison = hostile_adapter(tmp_path / "hostile", form, aligned)

    served = PeftModel.from_pretrained(aligned, folder).eval()
    assert torch.equal(parameter_of(served, form.parameter), poison)
    assert not torch.allclose(logits(served), before, atol=1e-2)

    with pytest.raises(AdapterRejected) as rejected:
        run(folder, llamas.base, llamas.aligned, tmp_path / "out")
    refused = [(f.code, f.subject) for f in rejected.value.findings if f.outcome == "refused"]
    assert sorted(refused) == sorted([(form.code, form.tensor), *form.also])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.parameter)
def test_stripped_adapter_leaves_the_base_as_it_was_in_stock_peft(
    form: Overwrite, llamas: Folders, tmp_path: Path
) -> None:
    """What overwrote a weight is left out: PEFT loads the output, and every weight of the model is
    the aligned one's, bit for bit."""
    folder, _ = hostile_adapter(tmp_path / "hostile", form, aligned_model(llamas))
    strip = Policy(extras=Extras(default="strip"))
    report = run(folder, llamas.base, llamas.aligned, tmp_path / "out", strip)
    stripped = [(f.code, f.subject) for f in report.findings if f.outcome == "stripped"]
    assert sorted(stripped) == sorted([(form.code, form.tensor), *form.also])

    served = serve(llamas, tmp_path / "out")
    weights = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): weight
        for name, weight in served.named_parameters()
        if "lora_" not in name
    }
    originals = dict(aligned_model(llamas).named_parameters())
    assert weights.keys() == originals.keys()
    assert all(torch.equal(weights[name], originals[name]) for name in originals)
    assert torch.equal(logits(served), logits(aligned_model(llamas)))


def test_the_same_adapter_without_the_tensor_is_let_in(llamas: Folders, tmp_path: Path) -> None:
    """It is the tensor that is refused: the zero LoRA alone passes, and changes nothing in PEFT."""
    folder = save_adapter(tmp_path / "honest", zero_lora(), target_modules=["q_proj"])
    report = run(folder, llamas.base, llamas.aligned, tmp_path / "out")
    assert report.verdict == "unchanged"
    before = logits(aligned_model(llamas))
    served = serve(llamas, tmp_path / "out")
    assert torch.equal(logits(served), before)
    written = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert sorted(written) == sorted(zero_lora())
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["bias"] == "none"
