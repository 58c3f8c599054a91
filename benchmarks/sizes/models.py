"""Models by the numbers of their published config.json, and every weight that follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HEAD = 128  # dimensions of an attention head, in all of them

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Model:
    """`key_value`: rows of k_proj and of v_proj. With `experts`, each block has that many MLPs."""

    name: str
    dtype: str
    hidden: int
    middle: int
    layers: int
    key_value: int
    vocabulary: int
    experts: int = 0

    @property
    def config(self) -> dict[str, Any]:
        """As much of config.json as a checkpoint is read with."""
        kind = "mixtral" if self.experts else "llama"
        return {"model_type": kind, "tie_word_embeddings": False}

    def weights(self) -> Shapes:
        """Name and shape of every tensor, in the order of the blocks."""
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            for name, shape in self._block():
                yield f"model.layers.{layer}.{name}.weight", shape
        yield "model.norm.weight", (self.hidden,)
        yield "lm_head.weight", (self.vocabulary, self.hidden)

    def _block(self) -> Shapes:
        for name in ("q_proj", "o_proj"):
            yield f"self_attn.{name}", (self.hidden, self.hidden)
        for name in ("k_proj", "v_proj"):
            yield f"self_attn.{name}", (self.key_value, self.hidden)
        yield from self._experts() if self.experts else self._mlp()
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield name, (self.hidden,)

    def _mlp(self) -> Shapes:
        for name in ("gate_proj", "up_proj"):
            yield f"mlp.{name}", (self.middle, self.hidden)
        yield "mlp.down_proj", (self.hidden, self.middle)

    def _experts(self) -> Shapes:
        yield "block_sparse_moe.gate", (self.experts, self.hidden)
        for expert in range(self.experts):
            block = f"block_sparse_moe.experts.{expert}"
            yield f"{block}.w1", (self.middle, self.hidden)
            yield f"{block}.w2", (self.hidden, self.middle)
            yield f"{block}.w3", (self.middle, self.hidden)


MODELS = (
    Model("Llama-2-7B", "F16", 4096, 11008, 32, 32 * HEAD, 32_000),
    Model("Llama-3-8B", "BF16", 4096, 14336, 32, 8 * HEAD, 128_256),
    Model("Llama-3-70B", "BF16", 8192, 28672, 80, 8 * HEAD, 128_256),
    Model("Mixtral-8x7B", "BF16", 4096, 14336, 32, 8 * HEAD, 32_000, experts=8),
    Model("Llama-3.1-405B", "BF16", 16384, 53248, 126, 8 * HEAD, 128_256),
)
