"""What must be let in: the gate refuses attacks, not what PEFT, Unsloth and others really write."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import save

from tests.hostile.making import (
    A_KEY,
    B_KEY,
    OUT,
    PREFIX,
    Q_PROJ,
    Change,
    Folders,
    config,
    honest,
    honest_tensors,
    raw_config,
    raw_model,
    safetensors_file,
    sanitize_upload,
    split,
)
from tests.worker.making import CONFIG, lora

UNSLOTH_MAPPING = {
    "base_model_class": "LlamaForCausalLM",
    "parent_library": "transformers.models.llama.modeling_llama",
    "unsloth_fixed": True,
}
PEFT_0_5 = {
    "auto_mapping": None,
    "base_model_name_or_path": "meta-llama/Llama-2-7b-chat-hf",
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layers_pattern": None,
    "layers_to_transform": None,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 2,
    "revision": None,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
}
PEFT_0_2 = {
    "base_model_name_or_path": "decapoda-research/llama-7b-hf",
    "bias": "none",
    "enable_lora": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "merge_weights": False,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": 2,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
}


def peft_saved(folder: Path, **fields: Any) -> bytes:
    """adapter_config.json as the installed PEFT writes it."""
    peft.LoraConfig(r=2, target_modules=["q_proj"], **fields).save_pretrained(folder)
    return (folder / "adapter_config.json").read_bytes()


def respelled(old: str, new: str) -> Change:
    """The honest tensors under another spelling of their names."""
    return raw_model(save({k.replace(old, new): t for k, t in honest_tensors().items()}))


def header_padded_to(length: int) -> Change:
    """The honest file with a header of this many bytes, padded with spaces."""
    model = honest().model
    assert model is not None
    header, body = split(model)
    assert len(header) <= length
    return raw_model(safetensors_file(header.ljust(length), body))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"task_type": "CAUSAL_LM", "use_rslora": True, "lora_dropout": 0.1},
        {"init_lora_weights": "gaussian", "base_model_name_or_path": "C:\\models\\Llama 2"},
        {"init_lora_weights": "eva", "eva_config": peft.EvaConfig()},
        {"init_lora_weights": False, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"^q": 1}},
        {"layers_to_transform": [0], "layers_pattern": "layers", "exclude_modules": "lm_head"},
    ],
    ids=lambda fields: ", ".join(fields) or "defaults",
)
def test_config_that_peft_writes_is_let_in(
    fields: Mapping[str, Any], pair: Folders, tmp_path: Path
) -> None:
    """The config of the installed PEFT passes, at its defaults and with harmless fields set."""
    upload = replace(honest(), config=peft_saved(tmp_path / "saved", **fields))
    assert sanitize_upload(upload, pair, tmp_path).findings == []


@pytest.mark.parametrize(
    "written", [PEFT_0_5, PEFT_0_2, CONFIG], ids=["PEFT 0.5", "PEFT 0.2", "least"]
)
def test_config_of_older_releases_is_let_in(
    written: Mapping[str, Any], pair: Folders, tmp_path: Path
) -> None:
    """A field that a release did not know yet is not missed."""
    upload = raw_config(json.dumps(written).encode())(honest())
    assert sanitize_upload(upload, pair, tmp_path).findings == []


def test_auto_mapping_of_transformers_is_dropped_with_a_note(pair: Folders, tmp_path: Path) -> None:
    """As Unsloth writes it: never imported, not passed on, and the report says so."""
    report = sanitize_upload(config(auto_mapping=UNSLOTH_MAPPING)(honest()), pair, tmp_path)
    assert [(f.code, f.severity) for f in report.findings] == [("auto_mapping_dropped", "note")]
    assert "auto_mapping" not in json.loads((tmp_path / "output/adapter_config.json").read_text())


@pytest.mark.parametrize(
    "change",
    [
        respelled(PREFIX, ""),
        respelled(".weight", ".default.weight"),
        respelled(f"{PREFIX}model.", PREFIX),
        header_padded_to(400),
        header_padded_to(0x0280),
        header_padded_to(0x0480),
        raw_model(save(honest_tensors(), metadata={"format": "pt", "note": "\x1b[2J"})),
        raw_model(save({k: t.half() for k, t in honest_tensors().items()})),
        raw_model(save({k: t.bfloat16() for k, t in honest_tensors().items()})),
        raw_model(save({A_KEY: honest_tensors()[A_KEY].half(), B_KEY: honest_tensors()[B_KEY]})),
    ],
    ids=[
        "no prefix",
        "adapter name",
        "no model prefix",
        "padded header",
        "header that begins like pickle 2",
        "header that begins like pickle 4",
        "metadata",
        "F16",
        "BF16",
        "mixed dtypes",
    ],
)
def test_tensors_as_they_are_found_are_let_in(
    change: Change, pair: Folders, tmp_path: Path
) -> None:
    """Other spellings, paddings and dtypes that real libraries write are no attack."""
    report = sanitize_upload(change(honest()), pair, tmp_path)
    assert report.findings == []
    assert len(report.modules) == 1


def test_readme_beside_is_noted_and_left_behind(pair: Folders, tmp_path: Path) -> None:
    """Harmless company is named in a note; only the two canonical files are written."""
    upload = replace(honest(), others={"README.md": b"hi", ".gitattributes": b"*"})
    report = sanitize_upload(upload, pair, tmp_path)
    assert [(f.code, f.subject) for f in report.findings] == [
        ("file_not_carried", ".gitattributes"),
        ("file_not_carried", "README.md"),
    ]
    assert sorted(p.name for p in (tmp_path / "output").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_nothing_of_the_uploads_config_but_numbers_goes_out(pair: Folders, tmp_path: Path) -> None:
    """Names, revisions, target modules and versions of the upload stay behind."""
    fields = {
        "base_model_name_or_path": "attacker/model",
        "revision": "refs/pr/1",
        "target_modules": ".*evil.*",
        "peft_version": "evil",
        "eva_config": {"evil": 1},
        "exclude_modules": "evil",
        "fan_in_fan_out": True,
        "inference_mode": "evil",
        "lora_dropout": "evil",
    }
    sanitize_upload(config(**fields)(honest()), pair, tmp_path)
    written = (tmp_path / "output/adapter_config.json").read_text()
    assert "evil" not in written and "attacker" not in written and "refs" not in written
    assert json.loads(written)["fan_in_fan_out"] is False
    assert json.loads(written)["target_modules"] == ["q_proj"]


def test_patterns_with_one_meaning_scale_what_they_name(pair: Folders, tmp_path: Path) -> None:
    """A literal alpha_pattern is followed, first match first, and written out as full names."""
    other = "model.layers.0.mlp.up_proj"
    tensors = {**honest_tensors(), **lora({other: (OUT, 6)}, rank=3)}
    upload = config(
        alpha_pattern={"self_attn.q_proj": 6, "q_proj": 60}, rank_pattern={f"^{other}": 3}
    )(replace(honest(), model=save(tensors)))
    report = sanitize_upload(upload, pair, tmp_path)
    assert {row.name: row.scaling for row in report.modules} == {Q_PROJ: 3.0, other: 4 / 3}
    written = json.loads((tmp_path / "output/adapter_config.json").read_text())
    reference = {
        name: written["alpha_pattern"].get(name, written["lora_alpha"])
        / written["rank_pattern"].get(name, written["r"])
        for name in (Q_PROJ, other)
    }
    assert reference == {Q_PROJ: 3.0, other: 4 / 3}


def test_zero_update_is_kept(pair: Folders, tmp_path: Path) -> None:
    """A LoRA that was never trained scores nothing, is not chosen, and goes out as it came."""
    tensors = {k: torch.zeros_like(t) if k == B_KEY else t for k, t in honest_tensors().items()}
    upload = replace(honest(), model=save(tensors))
    report = sanitize_upload(upload, pair, tmp_path)
    (row,) = report.modules
    assert (row.reason, row.projected, row.cosine) == ("zero_update", False, None)
    assert report.verdict == "unchanged"
