"""Digests of a checkpoint's tensors: those of the bytes that lie in its files."""

import hashlib
import os
import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from core.alignments import WeightDigest
from core.errors import AlignmentError
from tests.worker.alignment.raw import BITS, Raw, write_checkpoint, write_file
from tests.worker.peft.architectures import GPT2, LLAMA, QWEN2, Architecture
from tests.worker.peft.models import build, save_pair
from worker.alignment.checkpoint import Checkpoint
from worker.alignment.tensors import CHUNK

NAMES = [
    *("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"),
    *("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias"),
    *("model.rotary_emb.inv_freq", "vision.patch.weight", "num_batches_tracked", "é"),
]


@st.composite
def raw_tensors(draw: st.DrawFn) -> Raw:
    dtype = draw(st.sampled_from(sorted(BITS)))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    size = torch.Size(shape).numel() * BITS[dtype] // 8
    return Raw(dtype, shape, draw(st.binary(min_size=size, max_size=size)))


@st.composite
def cut(draw: st.DrawFn, names: list[str]) -> list[list[str]]:
    """The names in any order, in one to three files."""
    shuffled = draw(st.permutations(names))
    ends = sorted({draw(st.integers(0, len(names))) for _ in range(2)})
    return [shuffled[a:b] for a, b in zip([0, *ends], [*ends, len(names)], strict=True)]


def digest_of(raw: Raw) -> WeightDigest:
    sha256 = hashlib.sha256(raw.data).hexdigest()
    return WeightDigest(dtype=raw.dtype, shape=list(raw.shape), sha256=sha256)


def digests(folder: Path) -> dict[str, WeightDigest]:
    with Checkpoint(folder) as checkpoint:
        return dict(checkpoint.digests)


@given(st.data(), st.dictionaries(st.sampled_from(NAMES), raw_tensors(), min_size=1))
@settings(max_examples=200, deadline=None)
def test_every_tensor_has_the_digest_of_its_bytes(
    data: st.DataObject, tensors: dict[str, Raw]
) -> None:
    """Any dtype, shape, order of bytes and cut into files; nothing is left out or added."""
    shards = data.draw(cut(list(tensors)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_checkpoint(
            Path(scratch) / "checkpoint", tensors, shards, tie_word_embeddings=False
        )
        assert digests(folder) == {name: digest_of(raw) for name, raw in tensors.items()}


@pytest.mark.parametrize("size", ["20KB", "1GB"], ids=["sharded", "whole"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("architecture", [LLAMA, QWEN2, GPT2], ids=lambda a: a.name)
def test_saved_models_have_the_digests_of_what_is_read_back(
    architecture: Architecture, tied: bool, size: str, tmp_path: Path
) -> None:
    """As transformers saves them; a tied head goes by its own name, with the embedding's digest."""
    models = build(architecture, tie_word_embeddings=tied)
    folder = save_pair(tmp_path, *models, max_shard_size=size).aligned
    files = sorted(folder.glob("*.safetensors"))
    assert (len(files) > 1) is (size == "20KB")
    read = {name: t for file in files for name, t in load_file(file).items()}
    assert ("lm_head.weight" in read) is not tied
    if tied:
        embedding = models[1].get_input_embeddings().weight
        [name] = [n for n, t in read.items() if torch.equal(t, embedding)]
        read["lm_head.weight"] = read[name]
    assert digests(folder) == {
        name: digest_of(Raw("F32", tuple(t.shape), t.numpy().tobytes())) for name, t in read.items()
    }


def plain(name: str = "a", elements: int = 4) -> dict[str, Raw]:
    return {name: Raw("F32", (elements,), bytes(range(4 * elements)))}


@pytest.mark.parametrize(
    ("config", "named"), [({}, True), ({"tie_word_embeddings": False}, False)], ids=["tied", "not"]
)
def test_head_has_a_digest_only_where_it_is_tied(
    config: dict[str, Any], named: bool, tmp_path: Path
) -> None:
    """A model without a head of its own that ties none has none."""
    embedding = Raw("BF16", (2, 3), bytes(range(12)))
    tensors = {"model.embed_tokens.weight": embedding}
    made = digests(write_checkpoint(tmp_path / "c", tensors, [list(tensors)], **config))
    assert made.get("lm_head.weight") == (digest_of(embedding) if named else None)


def test_names_that_are_not_there_have_no_digest(tmp_path: Path) -> None:
    """None, as for any mapping: no name is guessed."""
    folder = write_checkpoint(tmp_path / "c", plain(), [["a"]])
    with Checkpoint(folder) as checkpoint:
        assert [checkpoint.digests.get(n) for n in ("b", "a.weight", "", "__metadata__")] == (
            [None] * 4
        )


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_tensors_about_a_chunk_long_are_read_whole(size: int, tmp_path: Path) -> None:
    """Each byte once and in order, wherever in the file the tensor begins."""
    data = random.Random(size).randbytes(size)
    tensors = {**plain("before"), "long": Raw("U8", (size,), data), **plain("after")}
    folder = write_checkpoint(tmp_path / "c", tensors, [list(tensors)])
    assert digests(folder) == {name: digest_of(raw) for name, raw in tensors.items()}


def test_memory_does_not_grow_with_a_tensor(tmp_path: Path) -> None:
    """300 MB are hashed in chunks of a few."""
    size = 300 * 10**6
    folder = write_checkpoint(tmp_path / "c", {"a": Raw("U8", (0,), b"")}, [["a"]])
    file = folder / "model.safetensors"
    header = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, file.stat().st_size + size)  # zeros that take no space on disk
    tracemalloc.start()
    try:
        made = digests(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    zeros = hashlib.sha256()
    for _ in range(300):
        zeros.update(bytes(10**6))
    assert made["a"].sha256 == zeros.hexdigest()
    assert peak < 2 * CHUNK


def test_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    """Readers differ on which one counts, of whatever kind the tensor is."""
    tensors = plain("a") | plain("b") | plain("c")
    folder = write_checkpoint(tmp_path / "c", tensors, [["a", "b"], ["b", "c"]])
    with pytest.raises(AlignmentError) as caught:
        Checkpoint(folder)
    assert caught.value.code == "checkpoint_ambiguous"


def test_tensor_twice_in_one_header_is_refused(tmp_path: Path) -> None:
    """safetensors takes the last one of a name; another reader need not."""
    folder = write_checkpoint(tmp_path / "c", plain(), [["a"]])
    file = folder / "model.safetensors"
    entry = b'"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    header = b"{" + entry + b"," + entry + b"}"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(AlignmentError) as caught:
        digests(folder)
    assert caught.value.code == "checkpoint_unreadable"


def test_file_cut_while_it_is_open_is_refused(tmp_path: Path) -> None:
    """No digest is made of fewer bytes than the header says."""
    folder = write_checkpoint(tmp_path / "c", plain(elements=64), [["a"]])
    with Checkpoint(folder) as checkpoint:
        write_file(folder / "model.safetensors", plain(elements=64), ["a"])
        os.truncate(folder / "model.safetensors", 128)
        with pytest.raises(AlignmentError) as caught:
            _ = checkpoint.digests["a"]
    assert caught.value.code == "checkpoint_unreadable"
