"""What lies on disk after writing is what was decided, or nothing is published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.errors import EngineError
from tests.hostile.making import A_KEY, B_KEY, OUT, Q_PROJ, Folders, make_pair
from tests.worker.making import pair_alignment
from worker.adapter import Adapter, LoraModule
from worker.adapter.verify import verify_written
from worker.adapter.write import Written, as_uploaded, cast_for_output, write_adapter
from worker.projection.update import Update, product_norm

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Tamper = Callable[[Path], None]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return make_pair(tmp_path_factory.mktemp("pair"))


def module(dtype: torch.dtype = torch.float32) -> LoraModule:
    random = torch.Generator().manual_seed(1)
    a = torch.randn(2, 6, generator=random).to(dtype)
    b = torch.randn(OUT, 2, generator=random).to(dtype)
    return LoraModule(Q_PROJ, Q_PROJ, alpha=4.0, scaling=2.0, a=a, b=b)


def write(folder: Path, pair: Folders) -> list[Written]:
    """One module as uploaded, written into `folder`."""
    folder.mkdir()
    adapter = Adapter((module(),), False, None, None, (), ())
    written = [as_uploaded(m) for m in adapter.modules]
    with pair_alignment(pair.base, pair.aligned) as alignment:
        write_adapter(folder, adapter, written, alignment, base_name=None, provenance={})
    return written


def config(**fields: Any) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return tamper


def weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Tamper:
    def tamper(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)

    return tamper


def test_what_was_written_is_found_whole(pair: Folders, tmp_path: Path) -> None:
    """Untouched files pass, and every module was compared."""
    written = write(tmp_path / "out", pair)
    assert verify_written(tmp_path / "out", written) == 1


@pytest.mark.parametrize(
    "tamper",
    [
        config(lora_alpha=8),
        config(use_rslora=True),
        config(alpha_pattern={"q_proj": 8}),
        config(use_dora=True),
        config(peft_type="IA3"),
        weights(lambda t: {**t, B_KEY: t[B_KEY] * (1 + 2**-20)}),
        weights(lambda t: {**t, A_KEY: -t[A_KEY]}),
        weights(lambda t: {**t, B_KEY: t[B_KEY] * torch.nan}),
        weights(lambda t: {**t, "base_model.model.lm_head.weight": torch.zeros(1)}),
        weights(lambda t: {A_KEY: t[A_KEY]}),
    ],
    ids=["alpha", "rslora", "pattern", "dora", "type", "B", "A", "NaN", "more", "less"],
)
def test_any_difference_stops_the_job(tamper: Tamper, pair: Folders, tmp_path: Path) -> None:
    """A scaling, a tensor or a bit other than decided: `verification_failed`."""
    written = write(tmp_path / "out", pair)
    tamper(tmp_path / "out")
    with pytest.raises(EngineError) as error:
        verify_written(tmp_path / "out", written)
    assert error.value.code == "verification_failed"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["F16", "BF16"])
def test_dtype_of_the_upload_stays_where_it_holds_the_update(dtype: torch.dtype) -> None:
    """Casting back loses under 1 % of the product, so nothing is widened."""
    update = Update(module().b * 0.01, module().a)
    written = cast_for_output(module(dtype), update, product_norm(update))
    assert (written.b.dtype, written.a.dtype, written.widened) == (dtype, dtype, False)


def test_widening_of_either_factor_is_told() -> None:
    """A alone came in 16 bits and would underflow: both go out in float32, and the report knows."""
    mixed = module()
    mixed = LoraModule(
        mixed.path, mixed.alignment_name, mixed.alpha, mixed.scaling, mixed.a.half(), mixed.b
    )
    update = Update(module().b, module().a * 1e-9)
    written = cast_for_output(mixed, update, product_norm(update))
    assert written.widened
    assert (written.a.dtype, written.b.dtype) == (torch.float32, torch.float32)
