"""Ways of saying, in a LoraConfig, which modules are adapted and how strongly."""

from collections.abc import Callable
from typing import Any

from tests.worker.peft.architectures import Architecture, block_regex

Feature = Callable[[Architecture], dict[str, Any]]


def patterns(architecture: Architecture) -> dict[str, Any]:
    """By family, by a longer suffix, and by a whole name from its start."""
    first, second, *_, last = architecture.families
    return {
        "rank_pattern": {
            first.rpartition(".")[2]: 2,
            f"^{architecture.path(0, last)}": 6,
        },
        "alpha_pattern": {
            f"^{architecture.path(1, first)}": 3,
            f"0.{second}": 5.5,
            last: 7,
        },
    }


FEATURES: dict[str, Feature] = {
    "plain": lambda _: {},
    "rslora": lambda _: {"use_rslora": True},
    "patterns": patterns,
    "patterns-rslora": lambda a: {**patterns(a), "use_rslora": True},
    "one-layer": lambda _: {"layers_to_transform": [1]},
    "regex": lambda a: {"target_modules": block_regex(a)},
    "excluded": lambda a: {"exclude_modules": [a.families[0]]},
    "all-linear": lambda _: {"target_modules": "all-linear"},
    "rank-64": lambda _: {"r": 64, "lora_alpha": 64},
    "no-task-type": lambda _: {"task_type": None},
    "gaussian": lambda _: {"init_lora_weights": "gaussian"},
    "orthogonal": lambda _: {"init_lora_weights": "orthogonal"},
}
