"""Where stock PEFT serves something else than the LoRA that a reader of the tensors sees.

Each attack is first shown to work on PEFT, then to be refused here; and where it can be stripped,
that PEFT serves nothing of it any more.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import AdapterRejected
from core.findings import STRIPPABLE
from core.policy import Extras, Policy
from tests.hostile.llamas import (
    HIDDEN,
    O_PROJ,
    PEFT_NOISE,
    Q_PROJ,
    aligned_model,
    layer,
    logits,
    serve,
    trained,
    zero_lora,
)
from tests.hostile.making import PREFIX, Folders
from tests.worker.making import lora, run, save_adapter

pytestmark = [
    pytest.mark.filterwarnings(PEFT_NOISE),
    pytest.mark.filterwarnings("ignore:Adapter 'default'. 1 LoRA tensor"),  # PEFT's lora_bias
]
STRIP = Policy(extras=Extras(default="strip"))
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Trap:
    """An adapter that PEFT saves with `config`, its LoRA zero, what is named by `touched` not;
    `edited` is then written into its config."""

    name: str
    tries: str
    refused: tuple[tuple[str, str], ...]
    touched: str = "nothing"
    config: dict[str, Any] = field(default_factory=dict)
    edited: dict[str, Any] = field(default_factory=dict)

    def make(self, folder: Path, llamas: Folders) -> Path:
        adapter = trained(folder, llamas, self.touched, **self.config)
        edit(adapter, **self.edited)
        return adapter


TRAPS = [
    Trap(
        "modules_to_save",
        "serve another head",
        (
            ("base_overwrite", f"{PREFIX}lm_head.weight"),
            ("modules_to_save", "modules_to_save"),
        ),
        touched="modules_to_save",
        config={"modules_to_save": ["lm_head"]},
    ),
    Trap(
        "trainable_token_indices",
        "serve another embedding of one trigger word",
        (
            (
                "unknown_tensor",
                f"{PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta",
            ),
            ("trainable_tokens", "trainable_token_indices"),
        ),
        touched="trainable_tokens",
        config={"trainable_token_indices": [5]},
    ),
    Trap(
        "a LoRA of the embedding",
        "serve another embedding of every word",
        (
            ("embedding_lora", f"{PREFIX}model.embed_tokens.lora_embedding_A"),
            ("embedding_lora", f"{PREFIX}model.embed_tokens.lora_embedding_B"),
        ),
        touched="lora_embedding_",
        config={"target_modules": ["q_proj", "embed_tokens"]},
    ),
    Trap(
        "bias of every layer",
        "serve other biases, of layers without a LoRA too",
        (
            ("bias_update", "bias"),
            ("bias_update", f"{PREFIX}model.layers.0.self_attn.k_proj.bias"),
            ("bias_update", f"{PREFIX}model.layers.0.self_attn.o_proj.bias"),
            ("bias_update", f"{PREFIX}model.layers.0.self_attn.v_proj.bias"),
            ("bias_update", f"{PREFIX}{Q_PROJ}.base_layer.bias"),
        ),
        touched=".bias",
        config={"bias": "all"},
    ),
    Trap(
        "bias of the LoRA",
        "serve what no product of two matrices is",
        (("bias_update", "lora_bias"), ("bias_update", f"{PREFIX}{Q_PROJ}.lora_B.bias")),
        touched="lora_B.default.bias",
        config={"lora_bias": True},
    ),
    Trap(
        "DoRA's magnitude",
        "rescale every row of the base",
        (("dora", f"{PREFIX}{Q_PROJ}.lora_magnitude_vector"), ("dora", "use_dora")),
        touched="magnitude",
        config={"use_dora": True},
    ),
    Trap(
        "layer_replication",
        "serve a model of more layers",
        (
            ("layer_replication", "layer_replication"),
            ("module_not_in_alignment", f"{PREFIX}{Q_PROJ}.lora_B.weight".replace(".0.", ".1.")),
        ),
        config={"layer_replication": [[0, 1], [0, 1]]},
    ),
    *(
        Trap(
            init,
            "have PEFT take the principal part out of the base as it loads the adapter",
            (("base_rewriting_init", "init_lora_weights"),),
            edited={"init_lora_weights": init},
        )
        for init in ("pissa", "olora")
    ),
]
LEAVES_NO_TRACE = [t for t in TRAPS if {code for code, _ in t.refused} <= STRIPPABLE]


def edit(adapter: Path, **fields: Any) -> None:
    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, **fields}))


def refused(adapter: Path, llamas: Folders, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(AdapterRejected) as rejected:
        run(adapter, llamas.base, llamas.aligned, folder)
    assert list(folder.iterdir()) == []
    return sorted((f.code, f.subject) for f in rejected.value.findings if f.outcome == "refused")


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_what_changes_the_model_in_stock_peft_is_refused(
    trap: Trap, llamas: Folders, tmp_path: Path
) -> None:
    """Every product B·A is zero, and PEFT's answers are others: refused, by all it takes."""
    adapter = trap.make(tmp_path / "hostile", llamas)
    factors = load_file(adapter / WEIGHTS)
    assert not any(t.any() for key, t in factors.items() if key.endswith("lora_B.weight"))
    before = logits(aligned_model(llamas))
    assert not torch.allclose(logits(serve(llamas, adapter)), before, atol=1e-2)

    assert refused(adapter, llamas, tmp_path / "out") == sorted(trap.refused)


@pytest.mark.parametrize("trap", LEAVES_NO_TRACE, ids=lambda trap: trap.name)
def test_what_was_stripped_is_not_served(trap: Trap, llamas: Folders, tmp_path: Path) -> None:
    """The output of the stripped adapter, whose LoRA is zero, changes no answer at all."""
    adapter = trap.make(tmp_path / "hostile", llamas)
    run(adapter, llamas.base, llamas.aligned, tmp_path / "out", STRIP)
    served = serve(llamas, tmp_path / "out")
    assert torch.equal(logits(served), logits(aligned_model(llamas)))


def test_trigger_words_that_switch_the_update_on_are_refused(
    llamas: Folders, tmp_path: Path
) -> None:
    """aLoRA: the update sleeps in PEFT until certain words come; stripped, it is always on, and
    is what was judged."""
    trigger = [3, 4]
    adapter = trained(tmp_path / "hostile", llamas, "lora_B", alora_invocation_tokens=trigger)
    before = aligned_model(llamas)
    asleep, awake = torch.tensor([[7, 8, 9, 10]]), torch.tensor([[7, 3, 4, 9]])
    served = serve(llamas, adapter)
    assert torch.equal(logits(served, asleep), logits(before, asleep))
    assert not torch.allclose(logits(served, awake), logits(before, awake), atol=1e-2)

    field = "alora_invocation_tokens"
    small = Policy.model_validate({"caps": {"update_ratio": 1e9}, "extras": {"default": "strip"}})
    assert ("variant_unsupported", field) in refused(adapter, llamas, tmp_path / "refused")
    run(adapter, llamas.base, llamas.aligned, tmp_path / "out", small)
    stripped = serve(llamas, tmp_path / "out")
    assert not torch.allclose(logits(stripped, asleep), logits(before, asleep), atol=1e-2)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys while loading")
def test_modules_without_tensors_are_not_initialised_at_random(
    llamas: Folders, tmp_path: Path
) -> None:
    """PEFT fills what target_modules reaches and the file lacks with random updates; the output
    reaches the modules of its tensors alone."""
    adapter = save_adapter(
        tmp_path / "hostile",
        zero_lora(),
        target_modules=".*_proj",
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    first, second = (logits(serve(llamas, adapter)) for _ in range(2))
    assert not torch.allclose(first, second, atol=1e-2)

    run(adapter, llamas.base, llamas.aligned, tmp_path / "out")
    served = serve(llamas, tmp_path / "out")
    assert torch.equal(logits(served), logits(aligned_model(llamas)))
    assert not hasattr(layer(served, O_PROJ), "lora_A")


def scalings(llamas: Folders, adapter: Path) -> tuple[float, float]:
    """PEFT's, of q_proj and o_proj."""
    served = serve(llamas, adapter)
    q, o = (float(layer(served, path).scaling["default"]) for path in (Q_PROJ, O_PROJ))
    return q, o


@pytest.mark.parametrize(
    ("fields", "by_peft", "code"),
    [
        ({"alpha_pattern": {"o.proj": 64}}, (2.0, 32.0), "pattern_not_literal"),
        ({"alpha_pattern": {"q_proj|o_proj": 64}}, (32.0, 32.0), "pattern_not_literal"),
        ({"alpha_pattern": {"[qk]_proj": 64}}, (32.0, 2.0), "pattern_not_literal"),
        ({"rank_pattern": {"self.attn.q_proj": 2}, "r": 1}, None, "pattern_not_literal"),
        ({"use_rslora": "false"}, (4 / 2**0.5, 4 / 2**0.5), "field_invalid"),
        ({"lora_alpha": -4}, (-2.0, -2.0), "alpha_invalid"),
        ({"lora_alpha": True}, (0.5, 0.5), "alpha_invalid"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_scale_that_peft_reads_otherwise_is_refused(
    fields: dict[str, Any],
    by_peft: tuple[float, float] | None,
    code: str,
    llamas: Folders,
    tmp_path: Path,
) -> None:
    """By a regular expression, by Python's idea of truth, or by sign: not what the text says."""
    tensors = lora({Q_PROJ: (HIDDEN, HIDDEN), O_PROJ: (HIDDEN, HIDDEN)})
    fields = {"target_modules": ["q_proj", "o_proj"], **fields}
    adapter = save_adapter(tmp_path / "hostile", tensors, **fields)
    if by_peft is not None:
        assert scalings(llamas, adapter) == pytest.approx(by_peft)
    assert code in {found for found, _ in refused(adapter, llamas, tmp_path / "out")}


@pytest.mark.parametrize(
    ("text", "by_peft"),
    [
        ('"lora_alpha": 4, "lora_alpha": 64', 32.0),
        ('"lora_alpha": 4, "lora_alph\\u0061": 64', 32.0),
        ('"lora_alpha": NaN', float("nan")),
        ('"lora_alpha": Infinity', float("inf")),
        ('"lora_alpha": 1e309', float("inf")),
        ('"lora_alpha": -0', 0.0),
    ],
)
def test_json_that_peft_takes_and_no_standard_knows_is_refused(
    text: str, by_peft: float, llamas: Folders, tmp_path: Path
) -> None:
    """Python's json takes the last of two, and numbers that are none: PEFT scales by them."""
    adapter = save_adapter(tmp_path / "hostile", zero_lora())
    rest = '"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]'
    (adapter / CONFIG).write_text(f"{{{rest}, {text}}}")
    scaling = layer(serve(llamas, adapter)).scaling["default"]
    assert scaling == pytest.approx(by_peft, nan_ok=True)

    (code, subject) = refused(adapter, llamas, tmp_path / "out")[0]
    assert (code in ("duplicate_key", "config_invalid"), subject) == (True, CONFIG)


def test_second_spelling_of_a_tensor_is_refused(llamas: Folders, tmp_path: Path) -> None:
    """PEFT takes `lora_A.weight`; loaded into the same model as its own state, the file gives
    `lora_A.default.weight`."""
    ones = {key: torch.ones_like(t) for key, t in zero_lora().items()}
    twos = {k.replace(".weight", ".default.weight"): t * 2 for k, t in ones.items()}
    adapter = save_adapter(tmp_path / "hostile", {**ones, **twos}, target_modules=["q_proj"])
    served = serve(llamas, adapter)
    lora_a = layer(served).lora_A["default"].weight
    assert float(lora_a[0, 0]) == 1.0
    served.load_state_dict(load_file(adapter / WEIGHTS), strict=False)
    assert float(lora_a[0, 0]) == 2.0

    assert {code for code, _ in refused(adapter, llamas, tmp_path / "out")} == {"duplicate_module"}


def test_pickle_that_peft_would_load_is_refused(llamas: Folders, tmp_path: Path) -> None:
    """Without a safetensors file PEFT unpickles adapter_model.bin."""
    adapter = save_adapter(tmp_path / "hostile", zero_lora(), target_modules=["q_proj"])
    (adapter / WEIGHTS).unlink()
    ones = {key: torch.ones_like(t) for key, t in zero_lora().items()}
    torch.save(ones, adapter / "adapter_model.bin")
    assert float(layer(serve(llamas, adapter)).lora_A["default"].weight[0, 0]) == 1.0

    assert refused(adapter, llamas, tmp_path / "out") == [("adapter_missing", WEIGHTS)]


def test_weights_that_peft_ignores_are_refused(llamas: Folders, tmp_path: Path) -> None:
    """PEFT reads adapter_model.safetensors and never adapters.safetensors: two files, two
    adapters."""
    adapter = save_adapter(tmp_path / "hostile", zero_lora(), target_modules=["q_proj"])
    ones = {key: torch.ones_like(t) for key, t in zero_lora().items()}
    save_file(ones, adapter / "adapters.safetensors")
    assert not layer(serve(llamas, adapter)).lora_B["default"].weight.any()

    found = refused(adapter, llamas, tmp_path / "out")
    assert found == [("two_adapters", "adapters.safetensors")]


def test_name_that_safetensors_takes_twice_is_refused(llamas: Folders, tmp_path: Path) -> None:
    """The library gives the last of two tensors of one name, and PEFT serves it."""
    adapter = save_adapter(tmp_path / "hostile", zero_lora(), target_modules=["q_proj"])
    data = (adapter / WEIGHTS).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    key = next(k for k in header if k.endswith("lora_A.weight"))
    first = {key: {**header[key], "shape": [HIDDEN, 2]}}
    text = (json.dumps(first)[:-1] + ", " + json.dumps(header)[1:]).encode()
    (adapter / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert layer(serve(llamas, adapter)).lora_A["default"].weight.shape == (2, HIDDEN)

    assert refused(adapter, llamas, tmp_path / "out") == [("duplicate_key", WEIGHTS)]
