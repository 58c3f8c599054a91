"""Real architectures in tiny sizes, and the LoraConfig fields that reach their linear modules."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

VOCABULARY = 64
INIT = 0.15  # the default of 0.02 leaves logits too small to tell right from wrong


@dataclass(frozen=True)
class Architecture:
    """`blocks` is the path of the list of blocks, `families` the linear modules of one block."""

    name: str
    model: Any
    config: Callable[..., Any]
    blocks: str
    families: tuple[str, ...]
    conv1d: bool = False
    task_type: str = "CAUSAL_LM"

    def path(self, layer: int, family: str) -> str:
        """`model.layers.0.mlp.up_proj` for 0 and `mlp.up_proj`."""
        return f"{self.blocks}.{layer}.{family}"

    @property
    def short_names(self) -> list[str]:
        return sorted({family.rpartition(".")[2] for family in self.families})


def _sized(config: Any, **sizes: Any) -> Callable[..., Any]:
    """The config in these sizes, which a test may change."""

    def make(**changes: Any) -> Any:
        return config(**{"vocab_size": VOCABULARY, **sizes, **changes})

    return make


_BLOCKS = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
_MLP = {"intermediate_size": 48, "max_position_embeddings": 32, "initializer_range": INIT}
_GROUPED = {**_BLOCKS, **_MLP, "num_key_value_heads": 2}
_ENDS = {"bos_token_id": 0, "eos_token_id": 0}  # some defaults lie outside the vocabulary


def _like_llama(name: str, model: Any, config: Any) -> Architecture:
    attention = [f"self_attn.{letter}_proj" for letter in "qkvo"]
    mlp = [f"mlp.{which}_proj" for which in ("gate", "up", "down")]
    sized = _sized(config, **_GROUPED, head_dim=8)
    return Architecture(name, model, sized, "model.layers", (*attention, *mlp))


LLAMA = _like_llama("llama", LlamaForCausalLM, LlamaConfig)
MISTRAL = _like_llama("mistral", MistralForCausalLM, MistralConfig)
QWEN2 = _like_llama("qwen2", Qwen2ForCausalLM, Qwen2Config)
GEMMA = _like_llama("gemma", GemmaForCausalLM, GemmaConfig)
GPT2 = Architecture(
    "gpt2",
    GPT2LMHeadModel,
    _sized(
        GPT2Config, n_embd=32, n_layer=2, n_head=4, n_positions=32, initializer_range=INIT, **_ENDS
    ),
    "transformer.h",
    ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    conv1d=True,
)
PHI3 = Architecture(  # q, k and v in one weight, gate and up in another
    "phi3",
    Phi3ForCausalLM,
    _sized(Phi3Config, **_GROUPED, original_max_position_embeddings=32, pad_token_id=0, **_ENDS),
    "model.layers",
    ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"),
)
GPT_NEOX = Architecture(  # `dense` is a module's whole name, and the beginning of two others
    "gpt_neox",
    GPTNeoXForCausalLM,
    _sized(GPTNeoXConfig, **_BLOCKS, **_MLP, **_ENDS),
    "gpt_neox.layers",
    ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
)
T5 = Architecture(  # two stacks of blocks: a family's short name reaches both
    "t5",
    T5ForConditionalGeneration,
    _sized(
        T5Config, d_model=32, d_ff=48, d_kv=8, num_layers=2, num_heads=4, initializer_factor=1.2
    ),
    "encoder.block",
    (
        *(f"layer.0.SelfAttention.{letter}" for letter in "qkvo"),
        *(f"layer.1.DenseReluDense.{which}" for which in ("wi", "wo")),
    ),
    task_type="SEQ_2_SEQ_LM",
)
ARCHITECTURES = [LLAMA, MISTRAL, QWEN2, GEMMA, GPT2, PHI3, GPT_NEOX, T5]
# `gpt_neox.` is no prefix that is tried, and T5's names are the same with a head and without.
PREFIXED = [a for a in ARCHITECTURES if a.blocks.startswith(("model.", "transformer."))]


def default_targets(architecture: Architecture) -> dict[str, Any]:
    """LoraConfig fields that adapt every linear module of each block."""
    return {
        "target_modules": architecture.short_names,
        "fan_in_fan_out": architecture.conv1d,
        "task_type": architecture.task_type,
    }


def block_regex(architecture: Architecture) -> str:
    """A regular expression that reaches the first and last family of every block."""
    first, last = (re.escape(architecture.families[index]) for index in (0, -1))
    return rf".*\.\d+\.({first}|{last})"
