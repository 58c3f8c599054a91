"""V as it is made block by block: what subtracting the two whole weights gives."""

import hashlib
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.alignments import DtypeRule
from core.errors import AlignmentError
from tests.worker.making import generator, save_checkpoint
from worker.alignment import difference as module
from worker.alignment.difference import STORAGE_LOSS_LIMIT, Difference
from worker.alignment.pair import Pair
from worker.safetensors_file import TORCH_DTYPES, write_safetensors

DTYPES = list(TORCH_DTYPES.values())
Q_PROJ, C_ATTN = "model.layers.0.self_attn.q_proj", "h.0.attn.c_attn"


def made(base: Tensor, aligned: Tensor, rule: DtypeRule = "auto", **config: Any) -> Difference:
    name = C_ATTN if config.get("model_type") == "gpt2" else Q_PROJ
    with tempfile.TemporaryDirectory() as scratch:
        folders = [
            save_checkpoint(Path(scratch) / which, {f"{name}.weight": weight}, **config)
            for which, weight in (("base", base), ("aligned", aligned))
        ]
        with Pair(*folders) as pair:
            v = pair.difference(name, rule)
            assert pair.aligned.digests[f"{name}.weight"].sha256 == sha256(aligned)
            return v


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def shard_of(v: Tensor) -> str:
    """The name of a file that holds V alone."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "shard"
        write_safetensors(path, {"v": v}, {})
        return f"blake3-{blake3(path.read_bytes()).hexdigest()}.safetensors"


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two weights of one shape, each in a dtype of its own, near to each other or not."""
    random = generator(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    base = torch.randn(shape, generator=random) * draw(st.sampled_from([1e-6, 0.02, 30.0]))
    change = torch.randn(shape, generator=random) * draw(st.sampled_from([0.0, 1e-4, 1.0]))
    one, other = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(DTYPES))
    return base.to(one), (base + change).to(other)


@settings(max_examples=150, deadline=None)
@given(pairs(), st.sampled_from([7, 64, 2**17]), st.sampled_from(["auto", "float32"]))
def test_v_is_the_difference_of_the_two_weights(
    pair: tuple[Tensor, Tensor], block: int, rule: DtypeRule
) -> None:
    """In any block size and any two dtypes, with norms, loss and digests of what is stored."""
    base, aligned = pair
    exact = aligned.float() - base.float()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ELEMENTS", block)
        v = made(base, aligned, rule)
    assert torch.equal(v.v, exact.to(TORCH_DTYPES[v.dtype]))
    assert v.dtype == "F32" or rule == "auto"
    assert v.norm == pytest.approx(float(v.v.double().norm()), rel=1e-12)
    assert v.aligned_norm == pytest.approx(float(aligned.double().norm()), rel=1e-12)
    assert (v.shard, v.aligned_sha256) == (shard_of(v.v), sha256(aligned))
    norm = float(exact.double().norm())
    lost = float((v.v.double() - exact.double()).norm())
    assert v.loss == pytest.approx(lost / norm if norm else 0.0, rel=1e-9, abs=1e-15)
    assert v.loss <= STORAGE_LOSS_LIMIT


@pytest.mark.parametrize(("scale", "dtype"), [(1.0, "F16"), (2.0**20, "F32")])
def test_v_is_float32_where_sixteen_bits_lose_too_much(scale: float, dtype: str) -> None:
    """bfloat16 has no bits for 1 + 2⁻⁸, and float16 no room for 2²⁰."""
    aligned = torch.full((8, 8), (1 + 2**-8) * scale)
    v = made(torch.zeros(8, 8), aligned)
    assert (v.dtype, v.loss) == (dtype, 0.0)
    assert torch.equal(v.v.float(), aligned)


def test_conv1d_is_turned_round() -> None:
    """GPT-2 holds (in, out): V comes as (out, in), with the digest of these bytes."""
    random = generator(1)
    base, aligned = (torch.randn(6, 10, generator=random) for _ in range(2))
    v = made(base, aligned, "float32", model_type="gpt2")
    assert torch.equal(v.v, (aligned - base).T)
    assert v.v.is_contiguous()
    assert v.shard == shard_of(v.v)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["base", "aligned", "both"])
def test_what_is_no_number_is_refused(dtype: torch.dtype, value: float, which: str) -> None:
    """One such value among many, in either model: V would be none."""
    weights = {"base": torch.ones(30, 30), "aligned": torch.zeros(30, 30)}
    for name, weight in weights.items():
        if which in (name, "both"):
            weight[17, 5] = value
    with pytest.raises(AlignmentError) as caught:
        made(weights["base"].to(dtype), weights["aligned"].to(dtype))
    assert caught.value.code == "checkpoint_non_finite"
    assert ("/base " in caught.value.message) is (which == "base")
