"""Attacks through names, shapes, dtypes and values of tensors."""

import math

import torch
from torch import Tensor

from core.policy import Caps, Policy
from tests.hostile.attack import Attack
from tests.hostile.making import (
    A_KEY,
    B_KEY,
    IN,
    MODEL,
    OUT,
    PREFIX,
    Q_PROJ,
    Change,
    added,
    entry,
    honest_tensors,
    only,
    raw_model,
    safetensors_file,
    tensors,
)
from tests.worker.making import lora

BLOCK = f"{PREFIX}model.layers.0"


def poisoned(key: str, value: float, dtype: torch.dtype) -> Change:
    """The honest adapter with one entry of one factor replaced."""
    tensor = honest_tensors()[key].to(dtype)
    tensor[0, 0] = value
    return tensors()({key: tensor})


def pair_of(path: str, out: int = OUT, in_: int = IN) -> dict[str, Tensor]:
    return lora({path: (out, in_)})


def beside(path: str, out: int = OUT, in_: int = IN) -> Change:
    """The honest adapter and a LoRA of this module."""
    return tensors()(pair_of(path, out, in_))


def shaped(a: tuple[int, ...], b: tuple[int, ...], **config: int) -> Change:
    return only({A_KEY: torch.zeros(a), B_KEY: torch.zeros(b)}, **config)


def renamed(old: str, new: str) -> Change:
    """Both factors of the honest adapter once more, under another spelling."""
    return tensors()({key.replace(old, new): value for key, value in honest_tensors().items()})


def with_dtype(dtype: str, itemsize: int) -> Change:
    """Factor A claims a dtype that safetensors' own writer does not give us."""
    size = 2 * IN * itemsize
    header = {A_KEY: entry(0, size, 2, IN, dtype=dtype), B_KEY: entry(size, size + 64, OUT, 2)}
    return raw_model(safetensors_file(header, bytes(size + 64)))


def named(name: str, code: str, tries: str, subject: str | None = None) -> Attack:
    return Attack(f"{name[:60]!r}", tries, added(name, 2, IN), code, subject or name)


def layer_of_digits(count: int) -> dict[str, Tensor]:
    """The honest factors under a layer's number of so many digits."""
    digits = "layers." + "9" * count
    return {key.replace("layers.0", digits): value for key, value in honest_tensors().items()}


VALUES = [
    Attack(
        f"{value} in {key[-13:]} {str(dtype)[6:]}",
        "never be below a threshold",
        poisoned(key, value, dtype),
        "non_finite",
        key,
    )
    for key in (A_KEY, B_KEY)
    for value in (math.nan, math.inf, -math.inf)
    for dtype in (torch.float32, torch.float16, torch.bfloat16)
]

DTYPES = [
    Attack(dtype, "be cast by each reader as it likes", change, "dtype_unsupported", A_KEY)
    for dtype, change in (
        ("I8", tensors()({A_KEY: torch.ones(2, IN, dtype=torch.int8)})),
        ("F64", tensors()({A_KEY: torch.ones(2, IN, dtype=torch.float64)})),
        ("F8_E4M3", tensors()({A_KEY: torch.ones(2, IN).to(torch.float8_e4m3fn)})),
        ("F8_E5M2", tensors()({A_KEY: torch.ones(2, IN).to(torch.float8_e5m2)})),
        ("BOOL", tensors()({A_KEY: torch.ones(2, IN, dtype=torch.bool)})),
        ("f32", with_dtype("f32", 4)),
        ("F32 ", with_dtype("F32 ", 4)),
    )
]

SHAPES = [
    Attack(name, "make no product of the module's shape", change, "shape_mismatch", subject)
    for name, change, subject in (
        ("1-D", shaped((IN,), (OUT,)), B_KEY),
        ("3-D", shaped((2, IN, 1), (OUT, 2, 1)), B_KEY),
        ("ranks disagree", shaped((2, IN), (OUT, 3)), B_KEY),
        ("other in", shaped((2, IN + 1), (OUT, 2)), A_KEY),
        ("other out", shaped((2, IN), (OUT + 1, 2)), B_KEY),
        ("no in", shaped((2, 0), (OUT, 2)), A_KEY),
        ("no out", shaped((2, IN), (0, 2)), B_KEY),
        ("scalars", shaped((), ()), B_KEY),
    )
] + [
    Attack(
        "transposed",
        "make a product of the other shape",
        shaped((2, OUT), (IN, 2)),
        "shape_mismatch",
        A_KEY,
        also=(("shape_mismatch", B_KEY),),
    ),
    Attack(
        "zero rank",
        "divide alpha by zero",
        shaped((0, IN), (OUT, 0)),
        "shape_mismatch",
        B_KEY,
        also=(("rank_mismatch", A_KEY),),
    ),
    Attack(
        "rank 513",
        "exhaust memory and time",
        shaped((513, IN), (OUT, 513), r=513),
        "rank_over_cap",
        A_KEY,
    ),
    Attack(
        "bytes over the cap",
        "exhaust memory and time",
        lambda upload: upload,
        "bytes_over_cap",
        MODEL,
        policy=Policy(caps=Caps(bytes=100)),
    ),
    Attack(
        "elements over the cap",
        "exhaust memory and time in 16 bits, of which the same bytes hold twice as many",
        tensors()({key: tensor.half() for key, tensor in honest_tensors().items()}),
        "elements_over_cap",
        MODEL,
        policy=Policy(caps=Caps(elements=2 * (IN + OUT) - 1)),
    ),
    Attack(
        "elements of what is no pair",
        "exhaust memory and time with what is only named and left out",
        added(f"{PREFIX}lm_head.weight", 100, 100),
        "elements_over_cap",
        MODEL,
        policy=Policy(caps=Caps(elements=10_000)),
    ),
    Attack(
        "20001 tensors",
        "exhaust memory and time, and flood the report",
        raw_model(safetensors_file({f"{i}": entry(0, 0, 0) for i in range(20001)})),
        "tensors_over_cap",
        MODEL,
    ),
    Attack(
        "a shape that overflows",
        "make a product of sizes that wraps around to what fits",
        raw_model(
            safetensors_file(
                {A_KEY: entry(0, 0, 2**62, 2**62, 0), B_KEY: entry(0, 64, OUT, 2)}, bytes(64)
            )
        ),
        "shape_mismatch",
        B_KEY,
    ),
]

PAIRS = [
    Attack(
        "A without B",
        "be completed by what a reader has at hand",
        only({A_KEY: torch.ones(2, IN)}),
        "unpaired_tensor",
        A_KEY,
    ),
    Attack(
        "B without A",
        "be completed by what a reader has at hand",
        only({B_KEY: torch.ones(OUT, 2)}),
        "unpaired_tensor",
        B_KEY,
    ),
    *(
        Attack(
            f"twice: {new}",
            "have two readers load two different tensors",
            renamed(old, new),
            "duplicate_module",
            key_a.replace(old, new) if key_a.replace(old, new) > key_a else key_a,
            also=(
                (
                    "duplicate_module",
                    key_b.replace(old, new) if key_b.replace(old, new) > key_b else key_b,
                ),
            ),
        )
        for old, new in ((".weight", ".default.weight"), (PREFIX, ""))
        for key_a, key_b in ((A_KEY, B_KEY),)
    ),
    Attack(
        "twice: without model prefix",
        "have two readers load two different tensors",
        beside(Q_PROJ.removeprefix("model.")),
        "duplicate_module",
        B_KEY,
        also=(("mixed_prefixes", B_KEY),),
    ),
    Attack(
        "one module with the model's prefix and one without",
        "be served in part by a reader that knows one of the two",
        beside("layers.0.mlp.up_proj"),
        "mixed_prefixes",
        B_KEY,
    ),
]

MODULES = [
    Attack(
        path,
        tries,
        beside(path),
        code,
        f"{PREFIX}{path}.lora_B.weight",
    )
    for path, tries, code in (
        ("model.layers.9.self_attn.q_proj", "adapt what nobody judged", "module_not_in_alignment"),
        ("model.layers.0.self_attn.Q_PROJ", "differ in case only", "module_not_in_alignment"),
        ("base_model.model." + Q_PROJ, "hide behind a prefix", "module_not_in_alignment"),
        ("transformer." + Q_PROJ, "hide behind two prefixes", "module_not_in_alignment"),
        ("score", "be one module here and another there", "ambiguous_module"),
        ("model.score", "be one module here and another there", "ambiguous_module"),
        ("model.embed_tokens", "plant trigger words", "embedding_lora"),
        ("embed_tokens", "plant trigger words", "embedding_lora"),
        ("model.layers.0.mlp.gate", "choose other experts", "router_lora"),
    )
]

NAMES = [
    named(f"{BLOCK}.input_layernorm.weight", "base_overwrite", "overwrite a norm"),
    named(f"{BLOCK}.self_attn.q_proj.weight", "base_overwrite", "overwrite a weight"),
    named(f"{BLOCK}.self_attn.q_proj.base_layer.weight", "base_overwrite", "overwrite a weight"),
    named(f"{PREFIX}lm_head.weight", "base_overwrite", "overwrite the head"),
    named(f"{PREFIX}lm_head.modules_to_save.weight", "modules_to_save", "carry full weights"),
    named(f"{PREFIX}lm_head.modules_to_save.default.bias", "modules_to_save", "carry full weights"),
    named(f"{BLOCK}.self_attn.q_proj.bias", "bias_update", "update a bias"),
    named(f"{BLOCK}.self_attn.q_proj.lora_B.bias", "bias_update", "update a bias"),
    named(f"{PREFIX}model.embed_tokens.lora_embedding_A", "embedding_lora", "plant trigger words"),
    named(f"{BLOCK}.self_attn.q_proj.lora_magnitude_vector", "dora", "rescale rows of the base"),
    named(f"{BLOCK}.q_proj.lora_magnitude_vector.default.weight", "dora", "rescale rows"),
    named(f"{PREFIX}model.rotary_emb.inv_freq", "unknown_tensor", "overwrite a buffer"),
    named(f"{A_KEY}s", "unknown_tensor", "fit a prefix of a known name"),
    named(A_KEY.replace(".weight", ".other.weight"), "unknown_tensor", "load another adapter too"),
    named(A_KEY.replace("lora_A", "lora_a"), "unknown_tensor", "differ in case only"),
    named(A_KEY.replace("lora_A", "lora_C"), "unknown_tensor", "be a third factor"),
    named(f"{PREFIX}.lora_A.weight", "unknown_tensor", "have an empty path"),
    named(f"{PREFIX}..x.lora_A.weight", "unknown_tensor", "have empty parts"),
    named(f"{PREFIX}../../../etc/x.lora_A.weight", "unknown_tensor", "leave the folder"),
    named("/etc/cron.d/x.weight", "base_overwrite", "name a file"),
    named("", "unknown_tensor", "have no name"),
    named(
        f"{PREFIX}\x1b[2J\x1b]0;owned\x07.weight",
        "base_overwrite",
        "clear the terminal and set its title",
        f"{PREFIX}\\x1b[2J\\x1b]0;owned\\x07.weight",
    ),
    named("a\nrefuse fake: line", "unknown_tensor", "write a line", "a\\nrefuse fake: line"),
    named("a\r\x08b", "unknown_tensor", "write over a line", "a\\r\\x08b"),
    named("a\x9b2Jb", "unknown_tensor", "use an 8-bit control", "a\\x9b2Jb"),
    named("a\u202egnp.weight", "base_overwrite", "turn text round", "a\\u202egnp.weight"),
    named("a\x00b", "unknown_tensor", "end a C string", "a\\x00b"),
    named("[red]a[/red]", "unknown_tensor", "be marked up"),
    named("<script>alert(1)</script>", "unknown_tensor", "run in a page"),
    named("n" * 10**6, "header_invalid", "flood a log", "n" * 500 + "…"),
    named("m" * 256, "unknown_tensor", "flood a log with what is allowed"),
    Attack(
        "a layer of 5000 digits",
        "be more than a whole number may be long",
        only(layer_of_digits(5000)),
        "header_invalid",
        next(iter(layer_of_digits(5000)))[:500] + "…",
    ),
    Attack(
        "a layer of 150 digits",
        "be more than any counter holds",
        only(layer_of_digits(150)),
        "module_not_in_alignment",
        B_KEY.replace("layers.0", "layers." + "9" * 150),
        no_pairs=True,
    ),
    Attack(
        "a module of 33 parts",
        "take long to sort",
        only({k.replace("layers.0", "a." * 30 + "b"): v for k, v in honest_tensors().items()}),
        "unknown_tensor",
        A_KEY.replace("layers.0", "a." * 30 + "b"),
        also=(("unknown_tensor", B_KEY.replace("layers.0", "a." * 30 + "b")),),
        no_pairs=True,
    ),
    Attack(
        "Q_PROJ with a newline",
        "pass a pattern whose $ fits before a newline",
        only({key.replace(Q_PROJ, f"{Q_PROJ}\n"): v for key, v in honest_tensors().items()}),
        "unknown_tensor",
        A_KEY.replace(Q_PROJ, f"{Q_PROJ}\\n"),
        also=(("unknown_tensor", B_KEY.replace(Q_PROJ, f"{Q_PROJ}\\n")),),
        no_pairs=True,
    ),
    Attack(
        "no tensors",
        "be an adapter of nothing",
        raw_model(safetensors_file({})),
        "no_lora_pairs",
        MODEL,
    ),
    Attack(
        "only metadata",
        "be an adapter of nothing",
        raw_model(safetensors_file({"__metadata__": {"format": "pt"}})),
        "no_lora_pairs",
        MODEL,
    ),
]

TENSORS = [*VALUES, *DTYPES, *SHAPES, *PAIRS, *MODULES, *NAMES]
