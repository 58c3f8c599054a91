"""The GPU benchmark: runs where there is only torch, and what it compares is the same thing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.figures.dense import projected, projection
from benchmarks.gpu import deferred
from benchmarks.gpu.adapters import engine
from benchmarks.gpu.made import make
from benchmarks.gpu.shapes import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B, Model
from tests.benchmarks.only_torch import NothingElse
from tests.worker.making import generator
from worker.projection.thin import thin_products
from worker.projection.update import product_norm

ROOT = Path(__file__).parents[2]


def test_it_runs_with_nothing_but_torch(tmp_path: Path) -> None:
    """A rented GPU needs a checkout and torch: the engine's mathematics import nothing else, not
    even `core`."""
    kept = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.only_torch", "--device", "cpu", "--json", kept],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(kept.read_text())["name"] == "gpu-rehearsal"


@pytest.mark.parametrize("name", ["pydantic", "redis", "core", "rq"])
def test_nothing_but_torch_is_there(name: str) -> None:
    """The test before can fail: what else is installed here cannot be imported in it."""
    finder = NothingElse()
    assert finder.find_spec(name, None) is None
    assert finder.find_spec("torch", None) is not None


@pytest.mark.parametrize("shape", [(96, 64), (300, 80)])
def test_scores_put_off_are_the_same(shape: tuple[int, int]) -> None:
    """Floats taken once at the end are those that the engine takes module by module."""
    random = generator(0)
    modules = [make(shape, 4, random), make((80, 80), 6, random), make(shape, 4, random)]
    for module, late in zip(modules, deferred.scores(modules), strict=True):
        now = engine(module)
        assert late.norm == pytest.approx(product_norm(module.update), rel=1e-9)
        for name in ("cosine", "signed", "energy", "input_energy", "purity", "confined"):
            assert getattr(late, name) == pytest.approx(getattr(now, name), rel=1e-6), name


def test_the_dense_method_gives_the_same() -> None:
    """What ours is timed against computes the same W and the same cosine."""
    module = make((96, 64), 4, generator(0))
    v, update = module.alignment.v, module.update
    w, cosine = projected(projection(v), update)
    norm = float(v.double().norm())
    torch.testing.assert_close(w, thin_products(v, update, norm).image, rtol=1e-4, atol=1e-6)
    assert cosine == pytest.approx(engine(module).cosine, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "modules", "billions"),
    [(LLAMA_2_7B, 224, 6.476), (LLAMA_3_8B, 224, 6.979), (LLAMA_3_70B, 560, 68.45)],
)
def test_models_are_of_their_size(model: Model, modules: int, billions: float) -> None:
    """The linear modules of all blocks, without embeddings and norms."""
    assert len(model.modules) == modules
    assert model.weights / 1e9 == pytest.approx(billions, rel=1e-3)
