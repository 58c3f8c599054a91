"""The finding codes and the page that documents them."""

from pathlib import Path

import pytest

from core.findings import RULES, Finding, finding, first_of_each
from core.handling import under_policy
from core.policy import Extras, Policy
from core.render.findings_page import findings_page

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_page_lists_every_code_as_the_rules_have_it() -> None:
    """docs/findings.md is what `make docs` writes today: no code is missing, none is outdated."""
    assert PAGE.read_text() == findings_page()


@pytest.mark.parametrize("code", RULES)
def test_every_code_says_why_shows_an_example_and_names_a_fix(code: str) -> None:
    """Whoever reads a finding knows what to change."""
    rule = RULES[code]
    assert all(text.strip() for text in (rule.why, rule.action, rule.example))
    assert rule.why.endswith(".")
    assert f"### `{code}`" in PAGE.read_text()


def test_only_what_refuses_can_be_stripped() -> None:
    """A note or a sign is no part of the upload that could be left out."""
    assert {r.severity for r in RULES.values() if r.strippable} == {"refuse"}


def test_the_adapters_own_files_are_never_stripped() -> None:
    """A pickle beside the adapter may be left out; a pickle in its place may not."""
    policy = Policy(extras=Extras(default="strip"))
    beside = finding("pickle_file", "file", "optimizer.pt")
    itself = finding("pickle_file", "file", "adapter_model.safetensors")
    outcomes = [f.outcome for f in under_policy([beside, itself], policy)]
    assert outcomes == ["stripped", "refused"]


def test_few_findings_show_each_code_and_refusals_first() -> None:
    """However many there are, none of the codes that stop the adapter is crowded out."""
    flood: list[Finding] = [finding("refactored", "module", str(i)) for i in range(50)]
    found = [*flood, finding("dora", "field", "use_dora"), finding("non_finite", "tensor", "x")]
    assert [f.code for f in first_of_each(found, 3)] == ["dora", "non_finite", "refactored"]


def test_what_was_stripped_crowds_out_no_sign() -> None:
    """An uploader cannot push a sign out of sight with tensors that are stripped anyway."""
    stripping = Policy(extras=Extras(default="strip"))
    junk = [finding("unknown_tensor", "tensor", str(i)) for i in range(50)]
    found = under_policy([*junk, finding("alignment_undone", "module", "q_proj")], stripping)
    assert [f.code for f in first_of_each(found, 25)][:2] == ["unknown_tensor", "alignment_undone"]
