"""Tiny mixtures of experts with one linear module for each expert, as their checkpoints name them.

transformers 5 fuses the experts in memory and writes them to disk one by one; adapters trained
before it name them one by one too, so these are plain modules of our own.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import CausalLMOutput

from tests.worker.making import generator, save_checkpoint
from tests.worker.peft.architectures import INIT, VOCABULARY
from tests.worker.peft.models import CHANGE, ModelPair

HIDDEN = 32
EXPERTS = 4
LAYERS = 2
ACTIVE = 2  # experts that see a token
INTERMEDIATE = 24


@dataclass(frozen=True)
class Names:
    """What a family of models calls its sparse block and the matrices of an expert."""

    model_type: str
    block: str
    gate: str
    up: str
    down: str
    shared_expert: bool

    @property
    def expert(self) -> list[str]:
        return [self.gate, self.up, self.down]

    @property
    def routers(self) -> list[str]:
        """Paths of what decides which experts run, and how much of them is heard."""
        own = ["gate", "shared_expert_gate"] if self.shared_expert else ["gate"]
        return [f"model.layers.{n}.{self.block}.{router}" for n in range(LAYERS) for router in own]


MIXTRAL = Names("mixtral", "block_sparse_moe", "w1", "w3", "w2", shared_expert=False)
QWEN2_MOE = Names("qwen2_moe", "mlp", "gate_proj", "up_proj", "down_proj", shared_expert=True)
FAMILIES = [MIXTRAL, QWEN2_MOE]


def _linear(in_features: int, out_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features, bias=False)


class Attention(nn.Module):
    """One causal head."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            _linear(HIDDEN, HIDDEN) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = nn.functional.scaled_dot_product_attention(
            self.q_proj(x), self.k_proj(x), self.v_proj(x), is_causal=True
        )
        result: Tensor = self.o_proj(seen)
        return result


class Expert(nn.Module):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self.names = names
        setattr(self, names.gate, _linear(HIDDEN, INTERMEDIATE))
        setattr(self, names.up, _linear(HIDDEN, INTERMEDIATE))
        setattr(self, names.down, _linear(INTERMEDIATE, HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        gate, up, down = (getattr(self, name) for name in self.names.expert)
        result: Tensor = down(nn.functional.silu(gate(x)) * up(x))
        return result


class SparseBlock(nn.Module):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self.gate = _linear(HIDDEN, EXPERTS)
        self.experts = nn.ModuleList(Expert(names) for _ in range(EXPERTS))
        if names.shared_expert:
            self.shared_expert = Expert(names)
            self.shared_expert_gate = _linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate(x).softmax(-1)  # (batch, length, experts)
        heard = shares * (shares >= shares.topk(ACTIVE).values[..., -1:])
        mixed = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            mixed = mixed + heard[..., index, None] * expert(x)
        if hasattr(self, "shared_expert"):
            mixed = mixed + self.shared_expert_gate(x).sigmoid() * self.shared_expert(x)
        return mixed


class Block(nn.Module):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self.names = names
        self.input_layernorm = nn.RMSNorm(HIDDEN)
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(HIDDEN)
        setattr(self, names.block, SparseBlock(names))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        sparse: Tensor = getattr(self, self.names.block)(self.post_attention_layernorm(x))
        return x + sparse


class Body(nn.Module):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Block(names) for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN)

    def forward(self, input_ids: Tensor) -> Tensor:
        x: Tensor = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.norm(x)
        return result


class MixtureOfExperts(nn.Module):
    """`input_ids` → logits. The config names no model type: PEFT rewrites adapters of those that
    transformers 5 fuses."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self.config = PreTrainedConfig(is_encoder_decoder=False, tie_word_embeddings=False)
        self.model = Body(names)
        self.lm_head = _linear(HIDDEN, VOCABULARY)

    def forward(self, input_ids: Tensor, **_: object) -> CausalLMOutput:
        return CausalLMOutput(logits=self.lm_head(self.model(input_ids)))


def make_moe_pair(folder: Path, names: Names) -> ModelPair:
    """Base and aligned model, routers differing too, saved by name."""
    random = generator(5)
    base = MixtureOfExperts(names).eval()
    with torch.no_grad():
        for module in base.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(std=INIT, generator=random)
        aligned = copy.deepcopy(base)
        for module in aligned.modules():
            if isinstance(module, nn.Linear):
                module.weight += torch.randn(module.weight.shape, generator=random) * CHANGE
    folders = [
        save_checkpoint(folder / name, model.state_dict(), model_type=names.model_type)
        for name, model in (("base", base), ("aligned", aligned))
    ]
    return ModelPair(base, aligned, *folders)
