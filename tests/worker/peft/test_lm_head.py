"""An adapted output head: its V is that of lm_head, or of the embedding that it is tied to."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from core.errors import AdapterRejected
from tests.worker.making import run
from tests.worker.peft.checks import HALF, PEFT_NOISE, sanitize_and_check
from tests.worker.peft.models import (
    ARCHITECTURES,
    GEMMA,
    GPT2,
    Architecture,
    default_targets,
    make_pair,
    train,
)

pytestmark = [
    pytest.mark.filterwarnings(PEFT_NOISE),
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True` and a tied layer"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`"),
    # one adapter on Conv1D and Linear: PEFT sets the field for each module, and says so
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
]
by_name = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
tied_or_not = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def with_head(architecture: Architecture) -> dict[str, Any]:
    config = default_targets(architecture)
    return {**config, "target_modules": [*config["target_modules"], "lm_head"]}


@tied_or_not
@by_name
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
@by_name
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


@tied_or_not
@by_name
def test_base_weights_beside_the_head_are_refused(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """PEFT saves the head's base weight by default: it would overwrite the model's, so no."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    adapter = train(tmp_path / "adapter", pair.aligned_model, **with_head(architecture))
    key = "base_model.model.lm_head.base_layer.weight"
    assert key in load_file(adapter / "adapter_model.safetensors")
    with pytest.raises(AdapterRejected) as caught:
        run(adapter, pair.base, pair.aligned, tmp_path / "out", HALF)
    refused = [(f.code, f.subject) for f in caught.value.findings if f.severity == "refuse"]
    assert refused == [("base_overwrite", key)]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("architecture", [GEMMA, GPT2], ids=lambda a: a.name)
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
