"""Configs of both forms: fields that are known with values that are, nearly are, or are not."""

from random import Random
from typing import Any

from fuzz.mutate.tree import Number, Object, some_slot
from fuzz.mutate.values import change_anything, changed_tree
from fuzz.mutate.words import deep, near_name, some_value
from worker.adapter.peft_config import known_fields

_FIELDS = sorted(known_fields())
_HARMLESS: tuple[tuple[str, str], ...] = (
    ("lora_dropout", "0.05"),
    ("inference_mode", "true"),
    ("target_modules", '["q_proj","up_proj"]'),
    ("target_modules", '"all-linear"'),
    ("bias", '"none"'),
    ("use_rslora", "true"),
    ("use_dora", "false"),
    ("fan_in_fan_out", "false"),
    ("task_type", '"CAUSAL_LM"'),
    ("base_model_name_or_path", '"org/model"'),
    ("init_lora_weights", '"gaussian"'),
    ("modules_to_save", "null"),
    ("rank_pattern", "{}"),
    ("rank_pattern", '{"q_proj":2}'),
    ("alpha_pattern", '{"^model.layers.0.self_attn.q_proj":8}'),
    ("alpha_pattern", '{"self_attn.q_proj":1.5,"q_proj":3}'),
    ("auto_mapping", '{"parent_library":"transformers.models.llama"}'),
    ("layers_to_transform", "[0,1]"),
    ("lora_alpha", "16"),
    ("runtime_config", '{"ephemeral_gpu_offload":false}'),
    ("lora_parameters", '{"rank":2,"scale":20.0,"dropout":0.0}'),
    ("lora_parameters", '{"rank":2,"scale":0.5,"alpha":2,"keys":["self_attn.q_proj"]}'),
    ("fine_tune_type", '"lora"'),
    ("model", '"mlx-community/model"'),
    ("num_layers", "16"),
    ("lr_schedule", '{"name":"cosine_decay"}'),
)


def mutate(random: Random, data: bytes) -> bytes:
    return changed_tree(random, data, _change)


def _change(random: Random, tree: Any) -> None:
    if not isinstance(tree, Object):
        return
    match random.randrange(10):
        case 0 | 1 | 2 | 3:
            name, value = random.choice(_HARMLESS)
            _set(tree, name, Number(value))
        case 4:
            _set(tree, random.choice(_FIELDS), some_value(random))
        case 5:
            _set(tree, random.choice(("rank_pattern", "alpha_pattern")), _pattern(random))
        case 6:
            slot = some_slot(random, tree)
            if slot:
                slot.put(deep(random))
        case _:
            change_anything(random, tree)


def _set(tree: Object, name: str, value: Any) -> None:
    tree.pairs = [pair for pair in tree.pairs if pair[0] != name] + [(name, value)]


def _pattern(random: Random) -> Object:
    """Keys that are one character from a regular expression, or from another module's name."""
    known = ("q_proj", "self_attn.q_proj", "^model.layers.0.mlp.up.proj", "up.proj", "score")
    keys = [random.choice(known) for _ in range(random.randint(1, 3))]
    near = [near_name(random, key) if random.random() < 0.3 else key for key in keys]
    return Object([(key, Number(random.choice(("2", "4", "0", "1e5", "true")))) for key in near])
