"""Attacks through adapter_config.json."""

import json

from tests.hostile.attack import Attack, field_attacks, not_json
from tests.hostile.making import (
    A_KEY,
    CONFIG_FILE,
    config,
    config_text,
    config_without,
    only,
    raw_config,
)
from tests.worker.making import CONFIG, lora

UP_PROJ, UP_DOT_PROJ = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.up.proj"
TEXT = json.dumps(CONFIG)

VARIANTS = [
    *field_attacks("dora", "rescale rows of the base", ("use_dora", True), ("use_dora", 1)),
    *field_attacks(
        "base_rewriting_init",
        "have PEFT rewrite the base layer when it loads the adapter",
        *(("init_lora_weights", name) for name in ("pissa", "pissa_niter_16", "olora", "corda")),
        *(("init_lora_weights", name) for name in ("loftq", "lora_ga", "kasa", "mica", "", 1)),
        ("loftq_config", {"loftq_bits": 4}),
        ("corda_config", {"corda_method": "kpm"}),
        ("lora_ga_config", {"direction": "ArB2r"}),
        ("kasa_config", {"k": 1}),
    ),
    *field_attacks(
        "layer_replication", "rebuild the layer stack", ("layer_replication", [[0, 4], [2, 5]])
    ),
    *field_attacks(
        "variant_unsupported",
        "switch on what computes something else than W + s·B·A",
        ("alora_invocation_tokens", [1, 2]),
        ("arrow_config", {"arrow_top_k": 3}),
        ("monteclora_config", {"buffer_size": 1}),
        ("velora_config", {"num_groups": 1}),
        ("use_bdlora", {"nblocks": 2}),
        ("use_qalora", True),
        ("qalora_group_size", 32),
        ("ensure_weight_tying", True),
        ("runtime_config", {"ephemeral_gpu_offload": True}),
        ("megatron_config", {"tensor_model_parallel_size": 2}),
        ("megatron_core", "evil.module"),
        ("enable_lora", [True, False]),
        ("merge_weights", True),
    ),
    *field_attacks(
        "target_parameters", "adapt fused experts", ("target_parameters", ["experts.down_proj"])
    ),
    *field_attacks("modules_to_save", "carry full weights", ("modules_to_save", ["lm_head"])),
    *field_attacks("trainable_tokens", "plant trigger words", ("trainable_token_indices", [5])),
    *field_attacks(
        "bias_update", "update biases", ("bias", "all"), ("bias", "lora_only"), ("lora_bias", True)
    ),
    *field_attacks(
        "peft_type_unsupported",
        "be no product B·A",
        *(("peft_type", name) for name in ("LOHA", "IA3", "ADALORA", "lora", None, ["LORA"])),
    ),
    *field_attacks(
        "auto_mapping_import",
        "have a class imported",
        ("auto_mapping", {"base_model_class": "system", "parent_library": "os"}),
        ("auto_mapping", {"base_model_class": "X", "parent_library": "transformersx.evil"}),
        ("auto_mapping", {"base_model_class": "X", "parent_library": ["transformers"]}),
        ("auto_mapping", "transformers"),
        ("auto_mapping", {}),
    ),
    *field_attacks("field_unknown", "use what nobody decided on", ("lora_next", False), ("", 1)),
    *field_attacks(
        "field_invalid",
        "put a value of the wrong kind",
        ("task_type", "os.system"),
        ("use_rslora", "yes"),
        ("use_rslora", 1),
        ("fan_in_fan_out", "true"),
        ("base_model_name_or_path", ["a"]),
        ("base_model_name_or_path", "\x1b]0;owned\x07"),
        ("base_model_name_or_path", "\x9b2J"),
        ("base_model_name_or_path", "a" * 501),
        ("rank_pattern", ["q_proj"]),
        ("alpha_pattern", "q_proj"),
        ("alpha_pattern", {f"x{i}": 1 for i in range(1002)}),
    ),
]

NUMBERS = [
    *field_attacks(
        "rank_invalid",
        "state a rank that divides by zero or is no number",
        *(("r", value) for value in (0, -1, True, False, "8", 2.0, None, [2], 1e308)),
    ),
    *field_attacks(
        "alpha_invalid",
        "state an alpha that is never below a threshold, or above every cap",
        *(("lora_alpha", value) for value in (0, 0.0, -1, -1e-9, True, "8", None, 1e308, 100001)),
    ),
    *not_json(
        "write a number that JSON does not have",
        *((name, text) for name in ("r", "lora_alpha") for text in ("NaN", "Infinity", "1e309")),
        *((name, text) for name in ("r", "lora_alpha") for text in ("-Infinity", "-0", "08")),
        ("r", "9" * 5000),
    ),
    Attack("no r", "let readers take their own default", config_without("r"), "rank_invalid", "r"),
    Attack(
        "no alpha",
        "let readers take their own default",
        config_without("lora_alpha"),
        "alpha_invalid",
        "lora_alpha",
    ),
    Attack(
        "r of 4000 digits",
        "exhaust whoever computes with it",
        config_text("r", "9" * 4000),
        "rank_invalid",
        "r",
    ),
    Attack(
        "alpha of 4000 digits",
        "exhaust whoever computes with it",
        config_text("lora_alpha", "9" * 4000),
        "alpha_invalid",
        "lora_alpha",
    ),
    Attack("r of another rank", "be scaled as another", config(r=4), "rank_mismatch", A_KEY),
    Attack(
        "rank_pattern of another rank",
        "be scaled as another",
        config(rank_pattern={"q_proj": 4}),
        "rank_mismatch",
        A_KEY,
    ),
    *(
        Attack(
            f"rank_pattern {value!r}",
            "state a rank that is none for one module",
            config(rank_pattern={"q_proj": value}),
            "rank_invalid",
            "rank_pattern.'q_proj'",
        )
        for value in (0, -1, True, "8", 1e308, None)
    ),
    *(
        Attack(
            f"alpha_pattern {value!r}",
            "state an alpha that is none for one module",
            config(alpha_pattern={"q_proj": value}),
            "alpha_invalid",
            "alpha_pattern.'q_proj'",
        )
        for value in (0, -1, True, "8", 1e308, None)
    ),
]

PATTERNS = [
    *(
        Attack(
            f"alpha_pattern {key!r}",
            "be compiled, or mean another module to a regular expression than to a reader",
            config(alpha_pattern={key: 64}),
            "pattern_not_literal",
            "alpha_pattern",
        )
        for key in ("(a+)+$", ".*", "q_proj|k_proj", "q_proj$", "q_proj\n", "", ".", "a..b", "é")
    ),
    Attack(
        "catastrophic rank_pattern",
        "have readers backtrack for ever",
        config(rank_pattern={"(a+)+$": 2}),
        "pattern_not_literal",
        "rank_pattern",
    ),
    Attack(
        "a dot that fits an underscore",
        "scale a second module, which the literal reading leaves alone",
        only(lora({UP_PROJ: (8, 6), UP_DOT_PROJ: (8, 6)}), alpha_pattern={"up.proj": 64}),
        "pattern_not_literal",
        "alpha_pattern",
    ),
]

TEXTS = [
    Attack(
        "a field twice",
        "show one alpha to us and another to PEFT",
        raw_config(f'{TEXT[:-1]}, "lora_alpha": 64}}'.encode()),
        "duplicate_key",
        CONFIG_FILE,
    ),
    Attack(
        "a field twice by escapes",
        "show one alpha to us and another to PEFT",
        raw_config(f'{TEXT[:-1]}, "lora_alph\\u0061": 64}}'.encode()),
        "duplicate_key",
        CONFIG_FILE,
    ),
    Attack(
        "a pattern twice",
        "show one alpha to us and another to PEFT",
        config_text("alpha_pattern", '{"q_proj": 4, "q_proj": 64}'),
        "duplicate_key",
        CONFIG_FILE,
    ),
    *(
        Attack(name, tries, raw_config(data), "config_invalid", CONFIG_FILE)
        for name, tries, data in (
            ("deep lists", "exhaust the stack", b'{"x":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
            ("deep objects", "exhaust the stack", b'{"x":' * 5000 + b"1" + b"}" * 5000),
            ("latin-1", "be decoded differently", TEXT.encode()[:-1] + b', "x": "\xe9"}'),
            ("UTF-16", "be decoded differently", TEXT.encode("utf-16")),
            ("byte order mark", "be decoded differently", b"\xef\xbb\xbf" + TEXT.encode()),
            ("overlong slash", "be decoded differently", b'{"\xc0\xaf": 1}'),
            ("a list", "be no object", b"[]"),
            ("text", "be no object", b'"LORA"'),
            ("null", "be no object", b"null"),
            ("two objects", "be read to the first end", TEXT.encode() * 2),
            ("a comment", "be read by a lenient parser", b"// \n" + TEXT.encode()),
            ("a megabyte", "exhaust the parser", TEXT.encode() + b" " * 2**20),
        )
    ),
    *not_json(
        "name a half of a surrogate pair, which no report could be written with",
        ("base_model_name_or_path", '"\\ud800"'),
        ("lora_next\\ud800", "1"),
    ),
    Attack(
        "everything at once",
        "hide behind the first finding",
        config(use_dora=True, r=0, peft_type="IA3"),
        "dora",
        "use_dora",
        also=(("rank_invalid", "r"), ("peft_type_unsupported", "peft_type")),
    ),
    Attack(
        "an empty object",
        "be what defaults make of it",
        raw_config(b"{}"),
        "peft_type_unsupported",
        "peft_type",
        also=(("rank_invalid", "r"), ("alpha_invalid", "lora_alpha")),
    ),
]

CONFIGS = [*VARIANTS, *NUMBERS, *PATTERNS, *TEXTS]
