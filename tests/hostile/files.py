"""Attacks through the files themselves: other formats, damage, lies about sizes, side files."""

import io
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch

from tests.hostile.attack import Attack
from tests.hostile.making import (
    A_KEY,
    B_KEY,
    CONFIG_FILE,
    IN,
    MODEL,
    OUT,
    Change,
    beside,
    entry,
    honest,
    honest_tensors,
    raw_model,
    safetensors_file,
    split,
)

A_BYTES, B_BYTES = 2 * IN * 4, OUT * 2 * 4
BODY = bytes(A_BYTES + B_BYTES)
PAYLOAD = Path("/tmp/safelora-gate-pickle-was-run")


class _Runs:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {PAYLOAD}",)


def pickled(protocol: int) -> bytes:
    return pickle.dumps({"a": _Runs()}, protocol=protocol)


def torch_saved(*, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({**honest_tensors(), "a": _Runs()}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def numpy_saved() -> bytes:
    buffer = io.BytesIO()
    numpy.savez(buffer, a=numpy.zeros((2, IN), numpy.float32))
    return buffer.getvalue()


def lying_length(length: int) -> Change:
    """The honest file, whose first 8 bytes say something else."""
    model = honest().model
    assert model is not None
    return raw_model(length.to_bytes(8, "little") + model[8:])


def header(a: dict[str, Any], b: dict[str, Any], body: bytes = BODY) -> Change:
    return raw_model(safetensors_file({A_KEY: a, B_KEY: b}, body))


def header_text(old: str, new: str) -> Change:
    """The honest header with a piece of its text replaced."""
    model = honest().model
    assert model is not None
    text, body = split(model)
    changed = text.replace(old.encode(), new.encode())
    assert changed != text
    return raw_model(safetensors_file(changed, body))


FORMATS = [
    Attack(name, "run code when it is read", raw_model(data), "pickle_file", MODEL)
    for name, data in (
        ("torch.save, zip", torch_saved(zipped=True)),
        ("torch.save, legacy", torch_saved(zipped=False)),
        *((f"pickle protocol {n}", pickled(n)) for n in (2, 3, 4, 5)),
        ("a zip of nothing", b"PK\x03\x04"),
        ("a zip of a later version", b"PK\x03\x04" + b"\xff" * 60),
    )
] + [
    Attack("pickle protocol 0", "run code", raw_model(pickled(0)), "header_invalid", MODEL),
    Attack("GGUF", "be another format", raw_model(b"GGUF\x03" + bytes(64)), "gguf_file", MODEL),
    Attack("npz", "be another format", raw_model(numpy_saved()), "npz_file", MODEL),
    Attack("empty", "be nothing", raw_model(b""), "empty_file", MODEL),
    Attack("five bytes", "be nearly nothing", raw_model(b"\x00" * 5), "truncated_file", MODEL),
    Attack("HTML", "be an error page", raw_model(b"<!doctype html>"), "header_invalid", MODEL),
    Attack(
        "no model",
        "be missing",
        lambda upload: replace(upload, model=None),
        "adapter_missing",
        MODEL,
    ),
    Attack(
        "no config",
        "be missing",
        lambda upload: replace(upload, config=None),
        "config_missing",
        CONFIG_FILE,
    ),
    Attack(
        "empty config",
        "be nothing",
        lambda upload: replace(upload, config=b""),
        "empty_file",
        CONFIG_FILE,
    ),
]

SIZES = [
    Attack(f"length {name}", "have the reader allocate or wrap", lying_length(n), code, MODEL)
    for name, n, code in (
        ("0", 0, "header_invalid"),
        ("1", 1, "header_invalid"),
        ("one too few", -1, "header_invalid"),
        ("past the end", 10_000, "truncated_file"),
        ("17 MiB", 17 * 2**20, "header_invalid"),
        ("2^63", 2**63, "header_invalid"),
        ("2^64 - 1", 2**64 - 1, "header_invalid"),
    )
    if n >= 0
] + [
    Attack(
        "trailing bytes",
        "carry something along",
        lambda upload: replace(upload, model=(upload.model or b"") + b"#!/bin/sh"),
        "header_invalid",
        MODEL,
    ),
    Attack(
        "a hole",
        "carry something along",
        header(
            entry(0, A_BYTES, 2, IN),
            entry(A_BYTES + 8, A_BYTES + 8 + B_BYTES, OUT, 2),
            bytes(8) + BODY,
        ),
        "header_invalid",
        B_KEY,
    ),
    Attack(
        "a hole at the start",
        "carry something along",
        header(
            entry(8, A_BYTES + 8, 2, IN),
            entry(A_BYTES + 8, A_BYTES + 8 + B_BYTES, OUT, 2),
            bytes(8) + BODY,
        ),
        "header_invalid",
        A_KEY,
    ),
    Attack(
        "an overlap",
        "be one tensor here and another there",
        header(entry(0, A_BYTES, 2, IN), entry(8, 8 + B_BYTES, OUT, 2)),
        "header_invalid",
        B_KEY,
    ),
    Attack(
        "offsets reversed",
        "wrap around",
        header(entry(A_BYTES, 0, 2, IN), entry(A_BYTES, A_BYTES + B_BYTES, OUT, 2)),
        "header_invalid",
        A_KEY,
    ),
    Attack(
        "shape larger than its bytes",
        "read past the tensor",
        header(entry(0, A_BYTES, 3, IN), entry(A_BYTES, A_BYTES + B_BYTES, OUT, 2)),
        "header_invalid",
        A_KEY,
    ),
]

HEADERS = [
    Attack(name, "be read differently", header_text(old, new), code, subject)
    for name, old, new, code, subject in (
        ("negative size", "[2,6]", "[-2,-6]", "header_invalid", A_KEY),
        ("size as float", "[2,6]", "[2.0,6]", "header_invalid", A_KEY),
        ("size as bool", "[2,6]", "[true,12]", "header_invalid", A_KEY),
        ("size as text", "[2,6]", '["2",6]', "header_invalid", A_KEY),
        ("offset minus zero", "[0,48]", "[-0,48]", "header_invalid", MODEL),
        ("offset as exponent", "[0,48]", "[0,48e0]", "header_invalid", A_KEY),
        ("three offsets", "[0,48]", "[0,48,48]", "header_invalid", A_KEY),
        ("a field more", '"shape":[2,6]', '"shape":[2,6],"x":1', "header_invalid", A_KEY),
        ("dtype as list", '"F32","shape":[2', '["F32"],"shape":[2', "dtype_unsupported", A_KEY),
        ("shape twice", '"shape":[2,6]', '"shape":[2,6],"shape":[2,6]', "duplicate_key", MODEL),
        ("tensor twice", "lora_B", "lora_A", "duplicate_key", MODEL),
        ("tensor twice by escapes", "lora_B", "lora_\\u0041", "duplicate_key", MODEL),
        ("half a surrogate pair", "lora_B", "lora_\\ud800", "header_invalid", MODEL),
        ("leading space", '{"', ' {"', "header_invalid", MODEL),
        ("trailing comma", "}}", "},}", "header_invalid", MODEL),
        ("metadata as list", '{"base', '{"__metadata__":[],"base', "header_invalid", MODEL),
        ("metadata of numbers", '{"b', '{"__metadata__":{"a":1},"b', "header_invalid", MODEL),
        ("metadata null", '{"base', '{"__metadata__":null,"base', "header_invalid", MODEL),
    )
] + [
    Attack(name, "exhaust the parser", raw_model(safetensors_file(text)), "header_invalid", MODEL)
    for name, text in (
        ("deep header", b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
        ("a list of names", json.dumps([A_KEY]).encode()),
        ("no JSON", b"{" * 100),
        ("not UTF-8", b'{"\xff":{}}'),
    )
]

BESIDE = [
    Attack(name, tries, beside(name), code, name)
    for name, tries, code in (
        ("adapter_model.bin", "be loaded instead", "pickle_file"),
        ("training_args.bin", "run code", "pickle_file"),
        ("optimizer.pt", "run code", "pickle_file"),
        ("model.gguf", "be loaded instead", "gguf_file"),
        ("adapters.npz", "be loaded instead", "npz_file"),
        ("tokenizer.json", "split words otherwise", "side_file"),
        ("tokenizer_config.json", "carry a chat template", "side_file"),
        ("chat_template.jinja", "carry instructions", "side_file"),
        ("added_tokens.json", "plant trigger words", "side_file"),
        ("special_tokens_map.json", "plant trigger words", "side_file"),
        ("vocab.json", "split words otherwise", "side_file"),
        ("generation_config.json", "change how text is drawn", "side_file"),
        ("modeling_evil.py", "be imported", "unknown_file"),
        ("config.json", "replace the model's", "unknown_file"),
        ("model.safetensors", "replace the model", "unknown_file"),
        ("new_embeddings.safetensors", "be loaded by vLLM", "unknown_file"),
        ("ADAPTER_MODEL.BIN", "differ in case only", "unknown_file"),
        ("adapter_model.safetensors ", "differ in a space", "unknown_file"),
    )
] + [
    Attack(
        "a name with escapes",
        "clear the terminal",
        beside("x\x1b[2J.md"),
        "unknown_file",
        "x\\x1b[2J.md",
    ),
    Attack(
        "a name that is no text",
        "break whoever prints it",
        beside("x\udcff.md"),
        "unknown_file",
        "x\\udcff.md",
    ),
]

FILES = [*FORMATS, *SIZES, *HEADERS, *BESIDE]
