"""A module judged from V's spectrum alone, against the same module judged with V at hand."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.policy import Policy
from tests.worker.making import exactly
from tests.worker.projection.test_thin_equals_dense import Case, cases
from worker.alignment.loaded import LoadedSpectrum, without_v
from worker.alignment.make import LoadedModule, Recipe, make_module
from worker.alignment.pair import ModuleShape
from worker.judge import Judged, project_module, score_module

METHODS: list[dict[str, Any]] = [
    {"method": "zero"},
    {"method": "subspace", "rank": 2},
    {"method": "complement", "energy_share": 0.5, "side": "input"},
    {"method": "complement", "rank": 1, "side": "output"},
    {"method": "complement", "rank": 3, "side": "both"},
]


def made(case: Case) -> LoadedModule:
    out, in_ = case.v.shape
    difference = exactly(case.v, aligned_norm=float(case.v.norm()) or 1.0)
    return make_module("m", ModuleShape(out, in_, False), difference, Recipe("float32", 64))


def judged(case: Case, loaded: LoadedModule | LoadedSpectrum, policy: Policy) -> Judged:
    return project_module(score_module(case.module, loaded, policy), loaded, policy)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(METHODS), st.sampled_from([1.0, 0.5]))
def test_all_but_three_scores_is_bit_for_bit_the_same(
    case: Case, method: dict[str, Any], strength: float
) -> None:
    """Update, norms, findings and the other scores do not depend on V itself, in any hard case."""
    fields = {**method, "selection": {"mode": "all"}, "strength": strength}
    with_v = made(case)
    whole = judged(case, with_v, Policy.model_validate(fields))
    policy = Policy.model_validate({**fields, "scores": "spectrum"})
    lean = judged(case, without_v(with_v), policy)
    assert lean.projected.b.equal(whole.projected.b)
    assert lean.projected.a.equal(whole.projected.a)
    expected = replace(whole.scores, cosine=None, signed=None, undo=None)
    assert lean.scores == expected
    assert (lean.findings, lean.norm, lean.projected_norm, lean.baseline, lean.alignment_norm) == (
        *(whole.findings, whole.norm, whole.projected_norm),
        *(whole.baseline, whole.alignment_norm),
    )
    assert (lean.refactored is None) == (whole.refactored is None)
    assert replace(lean.score, cosine=whole.score.cosine) == whole.score


@settings(max_examples=25, deadline=None)
@given(cases())
def test_what_is_left_holds_no_v(case: Case) -> None:
    """No tensor of V's own size stays behind once only the spectrum is wanted."""
    lean = without_v(made(case))
    kept = [value for value in vars(lean.tensors).values() if hasattr(value, "shape")]
    assert sorted(tuple(t.shape) for t in kept) == sorted(
        tuple(t.shape) for t in (lean.tensors.u, lean.tensors.sigma, lean.tensors.z)
    )
    with pytest.raises(AttributeError):
        lean.tensors.v  # type: ignore[attr-defined]  # noqa: B018
