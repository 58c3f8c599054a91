"""Lists of tensor names, put together from the pieces that names have."""

from random import Random
from typing import Any

from fuzz.mutate.values import change_anything, changed_tree
from fuzz.mutate.words import near_name, some_name

_PLAIN = tuple(f"model.layers.0.mlp.experts.{n}.up_proj" for n in range(20))
_PATHS = (
    "model.layers.0.self_attn.q_proj",
    "layers.0.self_attn.q_proj",
    "transformer.layers.0.self_attn.q_proj",
    "model.layers.0.mlp.up_proj",
    "model.layers.0.mlp.up.proj",
    "model.layers.0.mlp.gate",
    "model.embed_tokens",
    "score",
    "model.score",
)
_PEFT = ("base_model.model.", ".lora_A.weight", ".lora_B.weight")
_MLX = ("", ".lora_a", ".lora_b")
_SPELLINGS = (
    ("base_model.model.", ".lora_A.default.weight", ".lora_B.default.weight"),
    ("", ".lora_A.weight", ".lora_B.weight"),
    _PEFT,
    _MLX,
)


def mutate(random: Random, data: bytes) -> bytes:
    form = random.choice((b"M", b"P")) if random.random() < 0.05 else data[:1]
    usual = _MLX if form == b"M" else _PEFT

    def change(random: Random, tree: Any) -> None:
        if isinstance(tree, list):
            _change(random, tree, usual)

    return form + changed_tree(random, data[1:], change)


def some_pair(random: Random, usual: tuple[str, str, str] = _PEFT) -> tuple[str, str]:
    """Both names of one module, mostly in the usual spelling and of a module that is known."""
    prefix, a, b = usual if random.random() < 0.7 else random.choice(_SPELLINGS)
    path = random.choice(_PLAIN if random.random() < 0.6 else _PATHS)
    return f"{prefix}{path}{a}", f"{prefix}{path}{b}"


def _change(random: Random, names: list[Any], usual: tuple[str, str, str]) -> None:
    match random.randrange(10):
        case 0 | 1 | 2 | 3 | 4:
            names += some_pair(random, usual)
        case 5:
            names.append(some_name(random))
        case 6 if names:
            at = random.randrange(len(names))
            names[at] = near_name(random, names[at] if isinstance(names[at], str) else "")
        case 7:
            random.shuffle(names)
        case 8 if names:
            del names[random.randrange(len(names)) :]
        case _:
            change_anything(random, names)
