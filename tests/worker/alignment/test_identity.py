"""The id of an alignment: what the pair is, and nothing of how it lies on disk or was built."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.alignments import Manifest
from tests.worker.alignment.raw import Raw, write_checkpoint
from tests.worker.making import generator, pair_alignment
from worker.alignment.build import build_alignment
from worker.alignment.pair import Pair
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import Folder, ModuleLoader, RamTier

Q_PROJ = "model.layers.0.self_attn.q_proj"
UP_PROJ = "model.layers.0.mlp.up_proj"
EMBEDDING = "model.embed_tokens.weight"
NORM = "model.norm.weight"
SHAPES = {
    f"{Q_PROJ}.weight": (300, 200),
    f"{UP_PROJ}.weight": (64, 200),
    EMBEDDING: (50, 200),
    NORM: (200,),
}


def weights(seed: int) -> dict[str, Tensor]:
    """Small whole numbers, of which sums and differences are exact."""
    random = generator(seed)
    return {
        name: torch.randint(-9, 10, shape, generator=random).float()
        for name, shape in SHAPES.items()
    }


def save(
    folder: Path, tensors: Mapping[str, Tensor], shards: Sequence[Sequence[str]] | None = None
) -> Path:
    raw = {n: Raw("F32", tuple(t.shape), t.numpy().tobytes()) for n, t in tensors.items()}
    return write_checkpoint(folder, raw, shards or [list(raw)])


def made(
    folder: Path, base: Path, aligned: Path, *, modules: Sequence[str] | None = None
) -> Manifest:
    folder.mkdir()
    with Pair(base, aligned, modules=modules) as pair:
        return build_alignment(pair, folder, dtype="float32", rank=4, step=lambda *_: None)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return save(tmp_path / "base", weights(1)), save(tmp_path / "aligned", weights(2))


def test_same_pair_has_the_same_id(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Cut into files, in another order, or with other threads, down to every digest."""
    base, aligned = pair
    first = made(tmp_path / "first", base, aligned)
    order = sorted(SHAPES, reverse=True)
    ways: dict[str, dict[str, Any]] = {
        "order": {"shards": [order]},
        "shards": {"shards": [order[:1], order[1:3], order[3:]]},
    }
    for name, how in ways.items():
        again = save(tmp_path / name, weights(2), **how)
        other = made(tmp_path / f"of-{name}", base, again)
        assert (other.id, other.weights) == (first.id, first.weights)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert made(tmp_path / "threads", base, aligned).id == first.id
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [NORM, EMBEDDING, f"{Q_PROJ}.weight"])
def test_one_other_number_in_the_aligned_model_is_another_id(
    name: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """Also in a norm, which is no module."""
    base, aligned = pair
    changed = weights(2)
    changed[name].view(-1)[-1] += 1.0
    first = made(tmp_path / "a", base, aligned)
    other = made(tmp_path / "b", base, save(tmp_path / "changed", changed))
    assert first.id != other.id
    tied = {"lm_head.weight"} if name == EMBEDDING else set()
    assert {n for n, w in other.weights.items() if w != first.weights[n]} == {name} | tied


def test_pairs_with_equal_v_and_other_weights_are_not_one(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """The update ratio is judged by ‖W_aligned‖, which V alone does not tell."""
    shift = weights(3)
    moved = [
        save(tmp_path / f"moved-{seed}", {n: w + shift[n] for n, w in weights(seed).items()})
        for seed in (1, 2)
    ]
    first, other = made(tmp_path / "a", *pair), made(tmp_path / "b", *moved)
    assert [m.shard for m in first.modules] == [m.shard for m in other.modules]
    assert [m.aligned_norm for m in first.modules] != [m.aligned_norm for m in other.modules]
    assert first.id != other.id


def test_alignment_of_some_modules_reads_no_others(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Digests of what was asked for and of what is no module; a tied head has its embedding's."""
    some = made(tmp_path / "some", *pair, modules=["up_proj"])
    assert [m.name for m in some.modules] == [UP_PROJ]
    whole = made(tmp_path / "all", *pair)
    assert whole.weights.keys() == SHAPES.keys() | {"lm_head.weight"}
    others = {f"{m.name}.weight" for m in whole.modules if m.name not in (UP_PROJ, "lm_head")}
    kept = whole.weights.keys() - others
    assert others
    assert some.weights == {name: whole.weights[name] for name in kept}
    assert some.weights["lm_head.weight"] == some.weights[EMBEDDING]


def test_pair_and_alignment_give_the_same_digests(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """By every name, and none for a name that the aligned model has not."""
    manifest = made(tmp_path / "stored", *pair)
    loader = ModuleLoader(
        manifest, Folder(tmp_path / "stored"), RamTier(capacity=0), torch.device("cpu")
    )
    stored = StoredAlignment(manifest, loader, name=None)
    with pair_alignment(*pair) as offline:
        for name in manifest.weights:
            assert offline.weight_kind(name) == stored.weight_kind(name) is not None
            assert offline.weight_sha256(name) == stored.weight_sha256(name)
        assert offline.weight_kind("model.norm.bias") is None
        assert stored.weight_kind("model.norm.bias") is None


def test_id_of_a_pair_is_of_the_modules_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """In whatever order, and whatever other tensors are or were asked about."""
    base, aligned = pair
    changed = weights(2)
    changed[NORM] += 1.0
    other = save(tmp_path / "changed", changed)

    def id_of(folder: Path, modules: list[str], asked: list[str]) -> str:
        with pair_alignment(base, folder) as alignment:
            for name in modules:
                alignment.module(name)
            for name in asked:
                alignment.weight_sha256(name)
            return alignment.facts().id

    first = id_of(aligned, [Q_PROJ, UP_PROJ], [])
    assert id_of(aligned, [UP_PROJ, Q_PROJ], [NORM, EMBEDDING]) == first
    assert id_of(other, [Q_PROJ, UP_PROJ], []) == first
    assert id_of(aligned, [UP_PROJ], []) != first


def test_id_of_a_pair_tells_its_weights_apart(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Equal V and other W_aligned are two ids here too."""
    shift = weights(3)
    ids = []
    for folders in (
        pair,
        [
            save(tmp_path / f"m-{seed}", {n: w + shift[n] for n, w in weights(seed).items()})
            for seed in (1, 2)
        ],
    ):
        with pair_alignment(*folders) as alignment:
            alignment.module(Q_PROJ)
            ids.append(alignment.facts().id)
    assert ids[0] != ids[1]


def test_modules_that_are_equal_are_built_side_by_side(tmp_path: Path) -> None:
    """Their files have one name: whoever writes second takes nothing from the first."""
    random = generator(5)
    one, other = (torch.randn(30, 20, generator=random) for _ in range(2))
    names = [f"model.layers.{n}.self_attn.q_proj.weight" for n in range(24)]
    base = save(tmp_path / "base", {name: one.clone() for name in names})
    aligned = save(tmp_path / "aligned", {name: other.clone() for name in names})
    (tmp_path / "made").mkdir()
    with Pair(base, aligned) as pair:
        manifest = build_alignment(
            pair, tmp_path / "made", dtype="auto", rank=8, step=lambda *_: None, workers=4
        )
    assert len({m.shard for m in manifest.modules}) == 1
    files = sorted(p.name for p in (tmp_path / "made").glob("*.safetensors"))
    assert files == manifest.files
    assert not list((tmp_path / "made").glob("*.part"))
