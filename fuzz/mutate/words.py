"""The pieces that names and values are made of: known, nearly known, and hostile."""

from random import Random
from typing import Any

from fuzz.mutate.tree import Number

HOSTILE_TEXT = (
    "",
    ".",
    "..",
    "/",
    "\\",
    "\0",
    "\n",
    "\x1b[2J",
    "\x7f",
    "\u202e",
    "\ud800",
    "é",
    "e\u0301",
    "\U0001f600",
    "a" * 600,
    "9" * 5000,
    "a." * 300,
)
FRAGMENTS = (
    "base_model.model.",
    "base_model.",
    "model.",
    "transformer.",
    "layers.0.",
    "self_attn.q_proj",
    "mlp.up_proj",
    "mlp.up.proj",
    "mlp.gate",
    "embed_tokens",
    "score",
    ".lora_A",
    ".lora_B",
    ".lora_A.weight",
    ".lora_B.weight",
    ".default",
    ".default.weight",
    ".lora_a",
    ".lora_b",
    ".base_layer",
    ".modules_to_save.",
    ".lora_magnitude_vector",
    ".lora_embedding_A",
    ".weight",
    ".bias",
    ".m",
    "__metadata__",
    *HOSTILE_TEXT,
)
NUMBERS = (
    *(
        "0",
        "-0",
        "1",
        "-1",
        "2",
        "3",
        "4",
        "8",
        "512",
        "513",
        "64.5",
        "0.1",
        "-1.5",
        "1e5",
        "1E400",
    ),
    *(
        "2.0",
        "1e-400",
        "100000.0000001",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
    ),
    *("-9223372036854775808", "1" + "0" * 30, "9" * 4300, "9" * 4301, "0." + "3" * 5000),
    *("NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "0x10", "1_0"),
)
_DEPTHS = (2, 40, 500, 960, *range(975, 1000), 3000)


def deep(random: Random) -> Number:
    """Nesting that is fine, or near what the parser can take, or over it."""
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    depth = random.choice(_DEPTHS)
    return Number(opening * depth + random.choice(("0", '"\\u0041"', "[]")) + closing * depth)


def some_value(random: Random) -> Any:
    """Any JSON value, and what looks like one."""
    match random.randrange(9):
        case 0:
            return random.choice((None, True, False))
        case 1 | 2 | 3:
            return Number(random.choice(NUMBERS))
        case 4:
            return Number(random.randint(-10, 300))
        case 5:
            return random.choice(HOSTILE_TEXT)
        case 6:
            return some_name(random)
        case 7:
            return random.choice(([], [Number(1)], Number("{}"), Number('{"a":1,"a":2}')))
        case _:
            return deep(random)


def some_name(random: Random) -> str:
    return "".join(random.choices(FRAGMENTS, k=random.randint(1, 4)))


def near_name(random: Random, name: str) -> str:
    """The name with a piece put in, left out or exchanged at a dot."""
    parts = name.split(".")
    at = random.randrange(len(parts))
    match random.randrange(4):
        case 0:
            parts.insert(at, random.choice(FRAGMENTS).strip("."))
        case 1:
            del parts[at]
        case 2:
            parts[at] = random.choice(FRAGMENTS).strip(".")
        case _:
            parts[at] += random.choice(HOSTILE_TEXT)
    return ".".join(parts)


def near_number(random: Random, number: str) -> Number:
    """The number made a little or much larger, negative, or a fraction."""
    try:
        value = int(number)
    except ValueError:
        return Number(random.choice(NUMBERS))
    near = (value + 1, value - 1, -value, value * 2, value // 2, value + 2**32, f"{value}.0")
    return Number(random.choice(near))
