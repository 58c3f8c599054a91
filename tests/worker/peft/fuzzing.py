"""Adapters as hypothesis makes them: an honest one of a tiny Llama, changed in one to four ways."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

from core.policy import Policy
from tests.worker.peft import uploads
from tests.worker.peft.uploads import PREFIX, Change, Upload

HIDDEN = 16
SIZES = {"hidden_size": HIDDEN, "intermediate_size": 24, "num_attention_heads": 2}
SIZES |= {"num_key_value_heads": 1, "head_dim": 8}
Q_PROJ = "model.layers.0.self_attn.q_proj"

_HALF = {"mode": "lowest", "share": 0.5}
POLICIES = {
    name: Policy.model_validate(fields)
    for name, fields in {
        "default": {},
        "half": {"selection": _HALF},
        "blended": {"selection": {"mode": "all"}, "strength": 0.5},
        "complement": {"method": "complement", "side": "both", "rank": 3, "selection": _HALF},
        "zero": {"method": "zero", "selection": _HALF, "extras": {"default": "strip"}},
        "strip": {"selection": {"mode": "all"}, "extras": {"default": "strip"}},
    }.items()
}


@dataclass(frozen=True)
class Fuzzed:
    """An honest adapter and a policy, by name, and the changes with the kind of each."""

    original: str
    policy: str
    changes: Sequence[tuple[str, Change]]

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.changes}

    def upload(self, originals: Mapping[str, Upload]) -> Upload:
        return uploads.in_turn([change for _, change in self.changes], originals[self.original])


def fuzzed(originals: Iterable[str]) -> st.SearchStrategy[Fuzzed]:
    """Half of the changes are of kinds that a gate may let in."""
    changes = st.one_of(_kinds(HARMLESS), _kinds(HARMFUL))
    return st.builds(
        Fuzzed,
        st.sampled_from(sorted(originals)),
        st.sampled_from(sorted(POLICIES)),
        st.lists(changes, min_size=1, max_size=4),
    )


def _kinds(table: Mapping[str, st.SearchStrategy[Change]]) -> st.SearchStrategy[tuple[str, Change]]:
    return st.sampled_from(sorted(table)).flatmap(
        lambda kind: st.tuples(st.just(kind), table[kind])
    )


def _fields(table: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[Change]:
    pairs = [(name, value) for name, values in table.items() for value in values]
    return st.sampled_from(pairs).map(lambda pair: uploads.field(*pair))


def _with_adapter_name(name: str) -> str:
    return re.sub(r"\.(lora_[AB])\.weight$", r".\1.default.weight", name)


def _without_peft_prefix(name: str) -> str:
    return name.removeprefix(PREFIX)


def _without_model_prefix(name: str) -> str:
    return name.replace(f"{PREFIX}model.", PREFIX, 1)


def _for_the_class_without_a_head(upload: Upload) -> Upload:
    renamed = uploads.renamed(_without_model_prefix, lambda _: True)(upload)
    return uploads.field("task_type", "FEATURE_EXTRACTION")(renamed)


INDEX = st.integers(0, 63)
WHICH = st.sampled_from(
    [
        lambda _: True,
        lambda name: ".lora_A." in name,
        lambda name: "q_proj" in name,
        lambda name: ".layers.1." in name,
    ]
)
SPELLINGS = st.sampled_from([_with_adapter_name, _without_peft_prefix])
MODEL_PREFIXES = st.sampled_from(
    [
        _without_model_prefix,
        lambda name: name.replace(PREFIX, f"{PREFIX}model.", 1),
        lambda name: name.replace(PREFIX, f"{PREFIX}transformer.", 1),
    ]
)
WRONG_NAMES = st.sampled_from(
    [
        lambda name: name.replace("lora_", "LORA_"),
        lambda name: name.replace(".weight", ".other.weight"),
        lambda name: name.replace(".weight", ".weight."),
        lambda name: name.removesuffix(".weight"),
        lambda name: f"module.{name}",
        lambda name: f"{PREFIX}{name}",
        lambda name: name.replace(".layers.0.", ".layers.00."),
        lambda name: name.replace(".layers.1.", ".layers.7."),
        lambda name: name.replace("q_proj", "q_proj\n"),
        lambda name: name.replace("q_proj", "*_proj"),
        lambda name: name.replace("q_proj", "q_proj.base_layer"),
        lambda name: name.replace("mlp.", "mlp.."),
        lambda name: name.replace("self_attn.o_proj", "post_attention_layernorm"),
        lambda name: name.replace("model.layers.0.self_attn.v_proj", "model.embed_tokens"),
    ]
)
LITERAL = st.sampled_from(
    [
        lambda path: path,
        lambda path: f"^{path}",
        lambda path: path.rpartition(".")[2],
        lambda path: path.removeprefix("model."),
        lambda path: f"^{path.removeprefix('model.')}",
    ]
)
REGEX = st.sampled_from(
    [
        lambda path: path.replace(".", r"\."),
        lambda path: f".*{path.rpartition('.')[2]}",
        lambda path: f"{path}$",
        lambda path: path.replace("_", "."),
        lambda _: "",
        lambda _: "(a+)+",
        lambda path: f"{path}|lm_head",
    ]
)

HARMLESS: dict[str, st.SearchStrategy[Change]] = {
    "spelling": st.builds(uploads.renamed, SPELLINGS, WHICH),
    "no head": st.just(_for_the_class_without_a_head),
    "16 bit": st.builds(
        uploads.each_tensor,
        st.sampled_from([torch.Tensor.half, torch.Tensor.bfloat16]),
        WHICH,
    ),
    "module left out": st.builds(uploads.without_module, INDEX),
    "rank told": st.builds(uploads.cut_to_rank, INDEX, st.integers(1, 3), told=st.just(True)),
    "alpha pattern": st.builds(
        uploads.pattern_of_one,
        st.just("alpha_pattern"),
        INDEX,
        LITERAL,
        st.sampled_from([1, 3, 8.5, 1e-4]),
    ),
    "size": st.builds(
        uploads.one_tensor,
        INDEX,
        st.sampled_from([torch.zeros_like, lambda t: t * 1e-6, lambda t: t * 3, lambda t: t * -1]),
    ),
    "cancelling": st.builds(uploads.cancelling, INDEX, st.sampled_from([1.0, 1e3])),
    "scale": _fields(
        {"lora_alpha": [1, 2.5, 16, 1e-5], "use_rslora": [True, False, None], "alpha_pattern": [{}]}
    ),
    "field without effect": _fields(
        {
            "target_modules": [None, [], "all-linear", ".*", ["q_proj"], ["nowhere"], ["lm_head"]],
            "exclude_modules": [["q_proj"], ".*"],
            "layers_to_transform": [0, [1], [7], []],
            "layers_pattern": ["layers", ["h"], ""],
            "fan_in_fan_out": [True, False, None],
            "init_lora_weights": [True, False, None, "gaussian", "orthogonal"],
            "inference_mode": [True, False],
            "lora_dropout": [0.5],
            "task_type": [None, "CAUSAL_LM", "FEATURE_EXTRACTION"],
            "base_model_name_or_path": [None, "", "someone/else"],
            "revision": ["main", None],
            "peft_version": ["0.0.1"],
            "modules_to_save": [None, []],
            "bias": ["none"],
            "auto_mapping": [
                None,
                {"base_model_class": "LlamaModel", "parent_library": "transformers.models.llama"},
            ],
        }
    ),
    "field left out": st.builds(
        uploads.without_field,
        st.sampled_from(
            ["target_modules", "use_rslora", "fan_in_fan_out", "bias", "task_type", "alpha_pattern"]
        ),
    ),
}

_SQUARE = torch.full((HIDDEN, HIDDEN), 0.5)
_ROW = torch.full((HIDDEN,), 0.5)
EXTRAS = {
    f"{PREFIX}model.norm.weight": _ROW,
    "model.norm.weight": _ROW,
    f"{PREFIX}model.layers.0.input_layernorm.weight": _ROW,
    f"{PREFIX}{Q_PROJ}.base_layer.weight": _SQUARE,
    f"{PREFIX}{Q_PROJ}.weight": _SQUARE,
    f"{PREFIX}{Q_PROJ}.lora_B.bias": _ROW,
    f"{PREFIX}{Q_PROJ}.base_layer.bias": _ROW,
    f"{PREFIX}{Q_PROJ}.lora_magnitude_vector.weight": _ROW,
    f"{PREFIX}{Q_PROJ}.lora_A.other.weight": _SQUARE[:4],
    f"{PREFIX}model.embed_tokens.weight": torch.full((64, HIDDEN), 0.5),
    f"{PREFIX}model.embed_tokens.lora_embedding_A": torch.full((4, 64), 0.5),
    f"{PREFIX}lm_head.weight": torch.full((64, HIDDEN), 0.5),
    f"{PREFIX}lm_head.modules_to_save.weight": torch.full((64, HIDDEN), 0.5),
    f"{PREFIX}model.rotary_emb.inv_freq": torch.full((4,), 0.5),
    f"{PREFIX}prompt_embeddings": _SQUARE,
    "": _ROW,
}
HARMFUL: dict[str, st.SearchStrategy[Change]] = {
    "wrong name": st.builds(uploads.renamed, WRONG_NAMES, WHICH),
    "model prefix": st.builds(uploads.renamed, MODEL_PREFIXES, WHICH),
    "second spelling": st.builds(
        uploads.respelled_twin, INDEX, st.one_of(SPELLINGS, MODEL_PREFIXES)
    ),
    "other dtype": st.builds(
        uploads.one_tensor,
        INDEX,
        st.sampled_from([torch.Tensor.double, torch.Tensor.char, torch.Tensor.bool]),
    ),
    "half missing": st.builds(uploads.without_tensor, INDEX),
    "shape": st.builds(
        uploads.one_tensor,
        INDEX,
        st.sampled_from(
            [
                lambda t: t.transpose(0, -1),
                torch.ravel,
                lambda t: t[:0],
                lambda t: t[None],
                lambda t: t[1:],
            ]
        ),
    ),
    "factors swapped": st.builds(uploads.swapped_factors, INDEX),
    "rank not told": st.builds(uploads.cut_to_rank, INDEX, st.integers(0, 3), told=st.just(False)),
    "numbers": st.builds(
        uploads.one_tensor,
        INDEX,
        st.sampled_from(
            [
                lambda t: t * torch.nan,
                lambda t: t + torch.inf,
                lambda t: t * 1e4,
                lambda t: t * 1e38,
            ]
        ),
    ),
    "extra tensor": st.sampled_from(sorted(EXTRAS)).map(
        lambda name: uploads.added({name: EXTRAS[name]})
    ),
    "pattern": st.builds(
        uploads.pattern_of_one,
        st.sampled_from(["rank_pattern", "alpha_pattern"]),
        INDEX,
        st.one_of(REGEX, LITERAL),
        st.sampled_from([1, 2, 7, 0, -1, 1e9, "8", None, True]),
    ),
    "field": _fields(
        {
            "r": [1, 2, 4, 8, 0, -4, 4.0, "4", None, True],
            "lora_alpha": [0, -8, 1e9, "16", None, True],
            "peft_type": ["LOHA", "lora", None, 1],
            "use_rslora": [1, "true"],
            "fan_in_fan_out": ["yes"],
            "bias": ["all", "lora_only", "None"],
            "lora_bias": [True],
            "use_dora": [True],
            "modules_to_save": [["lm_head"], ["norm"], "lm_head"],
            "init_lora_weights": ["pissa", "olora", "loftq", "pissa_niter_4", 1],
            "layer_replication": [[[0, 2], [1, 2]]],
            "trainable_token_indices": [[0, 1]],
            "target_parameters": [["mlp.experts"]],
            "auto_mapping": [{"base_model_class": "x", "parent_library": "os"}, "x"],
            "task_type": ["causal_lm", 1],
            "rank_pattern": [[], "x", {"q_proj": 2}],
            "alpha_pattern": [[], "x"],
            "some_new_field": [None, 1, {"a": []}],
            "use_qalora": [True],
            "ensure_weight_tying": [True],
            "megatron_config": [{"a": 1}],
        }
    ),
    "needed field left out": st.builds(
        uploads.without_field, st.sampled_from(["r", "lora_alpha", "peft_type"])
    ),
}
