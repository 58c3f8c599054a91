"""An adapter of MLX's is the adapter of PEFT's that it is converted to, and no other."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from core.errors import AdapterRejected
from core.policy import Policy
from core.report import ModuleRow
from tests.hostile.making import (
    A_KEY,
    B_KEY,
    CONFIG_FILE,
    MODEL,
    Folders,
    Upload,
    honest,
    sanitize_upload,
)
from tests.hostile.mlx_making import MLX_CONFIG, PARAMETERS, mlx_honest, mlx_upload, transposed
from tests.worker.making import CONFIG, generator, lora, save_checkpoint
from worker.__main__ import main

# Of one that is square nothing but the names tells which way its factors lie.
SHAPES = {
    "model.layers.0.self_attn.q_proj": (6, 6),
    "model.layers.0.mlp.up_proj": (8, 6),
    "model.layers.0.mlp.down_proj": (6, 8),
    "model.layers.10.self_attn.q_proj": (6, 6),
}
POLICIES: list[dict[str, Any]] = [
    {},
    {"selection": {"mode": "all"}},
    {"selection": {"mode": "lowest", "share": 0.5}},
    {"selection": {"mode": "all"}, "method": "complement", "side": "both", "rank": 2},
    {"caps": {"update_ratio": 1e9}, "selection": {"threshold": 0.0}},
]
Result = tuple[list[ModuleRow], bytes, dict[str, list[Any]]] | list[tuple[str, str]]


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("square")
    random = generator(21)
    base = {f"{p}.weight": torch.randn(s, generator=random) for p, s in SHAPES.items()}
    aligned = {k: w + torch.randn(w.shape, generator=random) * 0.1 for k, w in base.items()}
    return Folders(
        save_checkpoint(folder / "base", base), save_checkpoint(folder / "aligned", aligned)
    )


def upload_of(tensors: Mapping[str, Tensor], alpha: float, rank: int) -> Upload:
    config = {**CONFIG, "r": rank, "lora_alpha": alpha}
    return Upload(save(dict(tensors)), json.dumps(config).encode())


def result(upload: Upload, pair: Folders, policy: Policy) -> Result:
    """Rows, config and each tensor's type, shape and values; or what refuses it, by module."""
    with TemporaryDirectory() as folder:
        try:
            report = sanitize_upload(upload, pair, Path(folder), policy)
        except AdapterRejected as rejected:
            found = [f for f in rejected.findings if f.outcome == "refused"]
            return [(f.code, f.subject) for f in found if f.kind == "module"]
        output = Path(folder) / "output"
        tensors = load((output / MODEL).read_bytes())
        values = {name: [t.dtype, *t.shape, t.tolist()] for name, t in tensors.items()}
        return report.modules, (output / CONFIG_FILE).read_bytes(), values


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rank=st.integers(1, 8),
    scale=st.floats(1e-3, 1e3) | st.integers(1, 20),
    modules=st.sets(st.sampled_from(sorted(SHAPES)), min_size=1),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    policy=st.sampled_from(POLICIES),
)
def test_mlx_adapter_is_treated_as_its_transpose(
    square: Folders,
    seed: int,
    rank: int,
    scale: float,
    modules: set[str],
    dtype: torch.dtype,
    policy: dict[str, Any],
) -> None:
    """A = lora_aᵀ, B = lora_bᵀ, alpha = scale · rank: the same rows and the same two files, or
    refused for the same."""
    made = lora({path: SHAPES[path] for path in sorted(modules)}, rank=rank, seed=seed)
    tensors = {key: tensor.to(dtype) for key, tensor in made.items()}
    parameters = {**PARAMETERS, "rank": rank, "scale": scale}
    mlx = mlx_upload(transposed(tensors), {**MLX_CONFIG, "lora_parameters": parameters})
    peft = upload_of(tensors, scale * rank, rank)
    chosen = Policy.model_validate(policy)
    assert result(mlx, square, chosen) == result(peft, square, chosen)


def test_factors_of_a_square_module_are_turned_once(square: Folders, tmp_path: Path) -> None:
    """Where rank, in and out are equal, no shape tells a factor from its transpose."""
    random = generator(22)
    path = next(iter(SHAPES))
    a, b = (torch.randn(6, 6, generator=random) * 0.01 for _ in range(2))
    config = {**MLX_CONFIG, "lora_parameters": {**PARAMETERS, "rank": 6}}
    upload = mlx_upload({f"{path}.lora_a": a, f"{path}.lora_b": b}, config)
    policy = Policy.model_validate({"selection": {"threshold": 0.0}})
    report = sanitize_upload(upload, square, tmp_path, policy)
    assert not report.modules[0].projected
    written = load((tmp_path / "output" / MODEL).read_bytes())
    assert torch.equal(written[A_KEY], a.T)
    assert torch.equal(written[B_KEY], b.T)


def test_alpha_of_older_releases_is_let_in_where_it_changes_nothing(
    pair: Folders, tmp_path: Path
) -> None:
    """mlx-lm once scaled by `scale · alpha / rank`: with alpha = rank that is scale."""
    config = {**MLX_CONFIG, "lora_parameters": {**PARAMETERS, "alpha": 2.0}}
    upload = mlx_honest()
    older = Upload(None, json.dumps(config).encode(), upload.others)
    old = sanitize_upload(older, pair, tmp_path / "old")
    assert old.modules == sanitize_upload(upload, pair, tmp_path / "new").modules


def test_either_name_of_the_weights_will_do(pair: Folders, tmp_path: Path) -> None:
    """The config says whose tensors they are: under PEFT's file name too, as the API's parts have
    it."""
    mlx = mlx_honest()
    (weights,) = mlx.others.values()
    under_peft = sanitize_upload(Upload(weights, mlx.config), pair, tmp_path / "peft")
    assert under_peft.modules == sanitize_upload(mlx, pair, tmp_path / "mlx").modules
    assert under_peft.modules == sanitize_upload(honest(), pair, tmp_path / "honest").modules


def test_offline_command_takes_what_mlx_saves(pair: Folders, tmp_path: Path) -> None:
    """adapters.safetensors is one of the adapter's own files on the command line too."""
    mlx_honest().write(tmp_path / "upload")
    folders = ["--base", str(pair.base), "--aligned", str(pair.aligned)]
    arguments = ["sanitize", str(tmp_path / "upload"), "--output", str(tmp_path / "out")]
    assert main([*arguments, *folders]) == 0
