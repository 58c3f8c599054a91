"""Signs of an attack on the method: each shown by what it is meant for, by nothing honest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from core.errors import AdapterRejected
from core.policy import Policy
from core.report import Report
from tests.worker.making import GOLDEN, generator, lora, run, save_adapter, save_checkpoint

SIZE, RANK, LAYERS = 96, 4, 8
PATHS = [f"model.layers.{layer}.self_attn.{x}_proj" for layer in range(LAYERS) for x in "qv"]
PREFIX = "base_model.model."
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A pair, its V by module path, and an honest adapter: random factors, small next to W."""

    base: Path
    aligned: Path
    v: Mapping[str, Tensor]
    honest: Tensors


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("suspicion")
    random = generator(11)
    base = {f"{p}.weight": torch.randn(SIZE, SIZE, generator=random) * 0.1 for p in PATHS}
    scale = torch.logspace(0, -2, SIZE)  # singular values fall as those of a trained change do
    v = {p: _rotation(random) @ torch.diag(scale) @ _rotation(random) * 0.2 for p in PATHS}
    aligned = {key: weight + v[key.removesuffix(".weight")] for key, weight in base.items()}
    honest = lora(dict.fromkeys(PATHS, (SIZE, SIZE)), rank=RANK, seed=12)
    return Case(
        save_checkpoint(folder / "base", base),
        save_checkpoint(folder / "aligned", aligned),
        v,
        honest,
    )


def sanitize(
    case: Case,
    tensors: Tensors,
    folder: Path,
    suspicious: str = "report",
    *,
    rank: int = RANK,
    **config: object,
) -> Report:
    policy = Policy.model_validate({"suspicious": suspicious, "selection": {"threshold": 0.0}})
    adapter = save_adapter(folder / "adapter", tensors, r=rank, lora_alpha=rank, **config)
    return run(adapter, case.base, case.aligned, folder / "out", policy)


def undone(case: Case, tensors: Tensors, path: str, share: float = 1.0) -> Tensors:
    """The best update of this rank against V, in one module."""
    left, sigma, right = torch.linalg.svd(-share * case.v[path])
    b, a = left[:, :RANK] * sigma[:RANK].sqrt(), sigma[:RANK].sqrt()[:, None] * right[:RANK]
    return replaced(tensors, path, b, a)


def blended(case: Case, tensors: Tensors, path: str, share: float) -> Tensors:
    """One direction of V taken back, beside noise that is larger."""
    against, keys = undone(case, {}, path, share), [f"{PREFIX}{path}.lora_{x}.weight" for x in "BA"]
    b = torch.cat([against[keys[0]][:, :1], tensors[keys[0]][:, 1:] * 1.5], dim=1)
    a = torch.cat([against[keys[1]][:1], tensors[keys[1]][1:] * 1.5])
    return replaced(tensors, path, b, a)


def single_direction(case: Case, tensors: Tensors, path: str, index: int) -> Tensors:
    """One column of B lies along one singular vector of V, and carries most of the update."""
    u = torch.linalg.svd(case.v[path]).U[:, index]
    b = tensors[f"{PREFIX}{path}.lora_B.weight"].clone()
    b[:, 0] = 5 * u * b.norm()
    return replaced(tensors, path, b, tensors[f"{PREFIX}{path}.lora_A.weight"])


def scaled(tensors: Tensors, path: str, factor: float) -> Tensors:
    b, a = (tensors[f"{PREFIX}{path}.lora_{x}.weight"] for x in "BA")
    return replaced(tensors, path, b * factor, a)


def replaced(tensors: Tensors, path: str, b: Tensor, a: Tensor) -> Tensors:
    prefix = f"{PREFIX}{path}"
    return {
        **tensors,
        f"{prefix}.lora_B.weight": b.contiguous(),
        f"{prefix}.lora_A.weight": a.contiguous(),
    }


def signs(report: Report) -> set[tuple[str, str, str]]:
    return {(f.code, f.subject, f.outcome) for f in report.findings if f.severity == "suspicious"}


def attacked(name: str, case: Case, path: str) -> Tensors:
    return {
        "alignment_undone": lambda: undone(case, case.honest, path),
        "energy_concentrated": lambda: single_direction(case, case.honest, path, 40),
        "family_outlier": lambda: scaled(case.honest, path, 12.0),
    }[name]()


ATTACKS = ["alignment_undone", "energy_concentrated", "family_outlier"]


def test_an_honest_adapter_shows_no_sign(case: Case, tmp_path: Path) -> None:
    """Random factors of ordinary size are not suspicious; nor is the golden case's adapter."""
    assert signs(sanitize(case, case.honest, tmp_path / "random")) == set()
    golden = run(GOLDEN / "adapter", GOLDEN / "base", GOLDEN / "aligned", tmp_path / "golden")
    assert signs(golden) == set()


@pytest.mark.parametrize("code", ATTACKS)
def test_each_attack_shows_its_sign_in_its_module(code: str, case: Case, tmp_path: Path) -> None:
    """Reported, by name and module, and the adapter is published as before."""
    report = sanitize(case, attacked(code, case, PATHS[3]), tmp_path)
    assert (code, PATHS[3], "reported") in signs(report)
    assert {subject for _, subject, _ in signs(report)} == {PATHS[3]}
    assert report.verdict == "unchanged"
    assert report.summary.suspicious == len(signs(report))


@pytest.mark.parametrize("code", ATTACKS)
def test_project_takes_the_suspicious_module_whatever_its_cosine(
    code: str, case: Case, tmp_path: Path
) -> None:
    """That module alone is projected, and the row says that it was for the sign."""
    report = sanitize(case, attacked(code, case, PATHS[3]), tmp_path, "project")
    chosen = [(row.name, row.reason) for row in report.modules if row.projected]
    assert chosen == [(PATHS[3], "suspicious")]
    assert (code, PATHS[3], "projected") in signs(report)


@pytest.mark.parametrize("code", ATTACKS)
def test_refuse_stops_the_adapter(code: str, case: Case, tmp_path: Path) -> None:
    """Nothing is written, and the refusal names the sign and the module."""
    with pytest.raises(AdapterRejected) as rejected:
        sanitize(case, attacked(code, case, PATHS[3]), tmp_path, "refuse")
    refused = {(f.code, f.subject) for f in rejected.value.findings if f.outcome == "refused"}
    assert (code, PATHS[3]) in refused
    assert list((tmp_path / "out").iterdir()) == []


def test_an_update_far_too_large_shows_it(case: Case, tmp_path: Path) -> None:
    """Every module alike, so none is an outlier: size next to W tells."""
    tensors = case.honest
    for path in PATHS:
        tensors = scaled(tensors, path, 8.0)
    report = sanitize(case, tensors, tmp_path)
    assert {code for code, _, _ in signs(report)} == {"update_unusually_large"}
    assert {subject for _, subject, _ in signs(report)} == set(PATHS)


def test_a_little_of_v_taken_back_everywhere_shows_it(case: Case, tmp_path: Path) -> None:
    """Beside noise that hides it in each module, what is taken back of V in all adds up."""
    tensors = dict(case.honest)
    for path in PATHS:
        tensors = blended(case, tensors, path, share=0.8)
    found = sanitize(case, tensors, tmp_path).findings
    taken_back = [f for f in found if f.code == "alignment_undone"]
    assert [f.subject for f in taken_back] == PATHS
    assert all("over all modules" in f.detail for f in taken_back)


def test_a_rank_that_is_only_claimed_hides_no_sign(case: Case, tmp_path: Path) -> None:
    """Columns of zeros make the rank larger, not the update: undo stays what it was."""
    tensors = undone(case, case.honest, PATHS[3], share=0.5)
    padded = {
        key: pad(t, (0, 60)) if "lora_B" in key else pad(t, (0, 0, 0, 60))
        for key, t in tensors.items()
    }
    plain = sanitize(case, tensors, tmp_path / "plain")
    claimed = sanitize(case, padded, tmp_path / "claimed", rank=RANK + 60)
    assert ("alignment_undone", PATHS[3], "reported") in signs(plain)
    assert signs(claimed) == signs(plain)


def test_a_scale_that_some_readers_ignore_hides_no_sign(case: Case, tmp_path: Path) -> None:
    """alpha_pattern takes back for PEFT what vLLM serves in full: the larger one counts."""
    tensors = scaled(case.honest, PATHS[3], 12.0)
    report = sanitize(case, tensors, tmp_path, alpha_pattern={PATHS[3]: RANK / 12})
    assert ("family_outlier", PATHS[3], "reported") in signs(report)


def test_what_is_added_to_v_elsewhere_hides_nothing(case: Case, tmp_path: Path) -> None:
    """V taken back in one half of the modules is not made up for by the other half."""
    tensors = dict(case.honest)
    for index, path in enumerate(PATHS):
        tensors = blended(case, tensors, path, share=1.6 if index % 2 else -1.6)
    taken_back = [f for f in sanitize(case, tensors, tmp_path).findings if "over all" in f.detail]
    assert {f.subject for f in taken_back} == set(PATHS[1::2])


def test_a_policy_that_only_scores_projects_nothing(case: Case, tmp_path: Path) -> None:
    """The sign is in the report; no module is chosen for it and nothing is written."""
    policy = Policy.model_validate({"suspicious": "project", "selection": {"mode": "none"}})
    tensors = attacked("alignment_undone", case, PATHS[3])
    adapter = save_adapter(tmp_path / "adapter", tensors, r=RANK, lora_alpha=RANK)
    report = run(adapter, case.base, case.aligned, tmp_path / "out", policy)
    assert report.verdict == "scored"
    assert not any(row.projected for row in report.modules)
    assert ("alignment_undone", PATHS[3], "reported") in signs(report)


def _rotation(random: torch.Generator) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=random)).Q
    return q
