"""An adapted output head: its V is that of lm_head, or of the embedding that it is tied to."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from core.errors import AdapterRejected
from core.store.layout import ADAPTER_MODEL
from tests.worker.making import run
from tests.worker.peft.architectures import (
    ARCHITECTURES,
    GEMMA,
    GPT2,
    GPT_NEOX,
    T5,
    Architecture,
    default_targets,
)
from tests.worker.peft.checks import HALF, PEFT_NOISE, output_bytes, sanitize_and_check
from tests.worker.peft.models import make_pair, train

pytestmark = [
    pytest.mark.filterwarnings(PEFT_NOISE),
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True` and a tied layer"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`"),
    # one adapter on Conv1D and Linear: PEFT sets the field for each module, and says so
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
]
ALWAYS_TIED = (T5,)  # transformers 5 sets the field, whatever it was
RENAMED = (GPT_NEOX,)  # an untied head is `lm_head` in memory and `embed_out` on disk
tied_or_not = pytest.mark.parametrize(
    ("architecture", "tied"),
    [
        pytest.param(architecture, tied, id=f"{architecture.name}-{'tied' if tied else 'untied'}")
        for architecture in ARCHITECTURES
        for tied in (True, False)
        if tied or architecture not in (*ALWAYS_TIED, *RENAMED)
    ],
)


def with_head(architecture: Architecture) -> dict[str, Any]:
    config = default_targets(architecture)
    return {**config, "target_modules": [*config["target_modules"], "lm_head"]}


@tied_or_not
def test_head_without_base_weights_is_sanitized(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """Saved with save_embedding_layers=False, a head's LoRA is served as decided, tied or not."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    on_disk = load_file(pair.base / "model.safetensors")
    assert ("lm_head.weight" in on_disk) is not tied
    adapter = train(
        tmp_path / "adapter",
        pair.aligned_model,
        save_embedding_layers=False,
        **with_head(architecture),
    )
    report = sanitize_and_check(adapter, pair, tmp_path / "out")
    assert "lm_head" in {row.name for row in report.modules}


@tied_or_not
def test_projected_head_is_served_as_decided(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """The head alone projected, by a threshold of its own: V of the right weight, right way up."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    adapter = train(
        tmp_path / "adapter",
        pair.aligned_model,
        save_embedding_layers=False,
        **with_head(architecture),
    )
    policy = HALF.model_validate(
        {"selection": {"mode": "threshold", "threshold": 0.0, "families": {"lm_head": 1.0}}}
    )
    report = sanitize_and_check(adapter, pair, tmp_path / "out", policy)
    assert [row.name for row in report.modules if row.projected] == ["lm_head"]


HEAD_KEY = "base_model.model.lm_head.base_layer.weight"


@tied_or_not
def test_models_own_weight_beside_the_head_is_dropped(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """PEFT saves the head's base weight by default: equal bit for bit, it is left out and noted."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    outputs = []
    for name, save in (("without", False), ("with", "auto")):
        config = with_head(architecture)
        adapter = train(tmp_path / name, pair.aligned_model, save_embedding_layers=save, **config)
        assert (HEAD_KEY in load_file(adapter / ADAPTER_MODEL)) is (name == "with")
        report = run(adapter, pair.base, pair.aligned, tmp_path / f"{name}-out", HALF)
        outputs.append(output_bytes(tmp_path / f"{name}-out"))
    assert [f.subject for f in report.findings if f.code == "base_copy_dropped"] == [HEAD_KEY]
    assert outputs[0] == outputs[1]


@tied_or_not
def test_other_weight_beside_the_head_is_refused(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """One number differs from the aligned model's: it would overwrite it, so no."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **with_head(architecture))
    tensors = load_file(adapter / ADAPTER_MODEL)
    tensors[HEAD_KEY][0, 0] += 1e-3
    save_file(tensors, adapter / ADAPTER_MODEL)
    with pytest.raises(AdapterRejected) as caught:
        run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    refused = [(f.code, f.subject) for f in caught.value.findings]
    assert refused == [("base_overwrite", HEAD_KEY)]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("architecture", [GEMMA, GPT2, T5], ids=lambda a: a.name)
def test_head_of_a_model_tied_by_default_is_found(
    architecture: Architecture, tmp_path: Path
) -> None:
    """transformers 4 left out the field where it was true by default, as in gpt2 on the Hub."""
    pair = make_pair(tmp_path, architecture)
    for folder in (pair.base, pair.aligned):
        config = json.loads((folder / "config.json").read_text())
        assert config.pop("tie_word_embeddings") is True
        (folder / "config.json").write_text(json.dumps(config))
    adapter = train(
        tmp_path / "adapter",
        pair.aligned_model,
        save_embedding_layers=False,
        **with_head(architecture),
    )
    sanitize_and_check(adapter, pair, tmp_path / "out")


def test_head_of_another_name_on_disk_is_refused(tmp_path: Path) -> None:
    """No weight of the pair is called `lm_head`, so none is taken for it."""
    pair = make_pair(tmp_path, GPT_NEOX, tie_word_embeddings=False)
    on_disk = load_file(pair.base / "model.safetensors").keys()
    assert "embed_out.weight" in on_disk
    assert "lm_head.weight" not in on_disk
    adapter = train(
        tmp_path / "adapter",
        pair.aligned_model,
        save_embedding_layers=False,
        **with_head(GPT_NEOX),
    )
    with pytest.raises(AdapterRejected) as caught:
        run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    refused = [(f.code, f.subject) for f in caught.value.findings]
    key = "base_model.model.lm_head.lora_B.weight"
    assert refused == [("module_not_in_alignment", key)]
