"""Two runs side by side: what was asked for otherwise, and what came out otherwise."""

from hypothesis import given
from hypothesis import strategies as st

from app.web.compare import pairs
from core.report import ModuleRow
from tests.app.gate import Gate
from tests.web.made_up import ended, rejected, report_of, row
from tests.web.structure import elements, words

Rows = st.lists(
    st.builds(
        row,
        st.sampled_from([f"model.layers.{n}.q_proj" for n in range(5)]),
        cosine=st.none() | st.floats(0.0, 1.0),
        projected=st.booleans(),
    ),
    unique_by=lambda row: row.name,
)


@given(first=Rows, second=Rows)
def test_every_module_of_either_is_shown_once(
    first: list[ModuleRow], second: list[ModuleRow]
) -> None:
    """Beside what the other run has of it; a run differs from itself in nothing."""
    found = pairs(report_of(*first), report_of(*second))
    names = {row.name for row in first} | {row.name for row in second}
    assert sorted(pair.name for pair in found) == sorted(names)
    assert [pair.first for pair in found if pair.first] == first
    assert {pair.second.name for pair in found if pair.second} == {r.name for r in second}
    assert not any(pair.differs for pair in pairs(report_of(*first), report_of(*first)))


@given(rows=Rows)
def test_what_is_chosen_otherwise_differs(rows: list[ModuleRow]) -> None:
    """And in the norm that is left of it."""
    others = [row.model_copy(update={"projected": not row.projected}) for row in rows]
    found = pairs(report_of(*rows), report_of(*others))
    assert all(pair.choices_differ and pair.left_differs for pair in found)
    assert not any(pair.cosines_differ for pair in found)


def test_only_settings_that_differ_are_shown(gate: Gate) -> None:
    """The threshold, and not what both have."""
    gate.register()
    first = ended(gate, report_of(row(projected=False)))
    second = ended(gate, policy='{"selection": {"threshold": 0.62}}')
    text = gate.client.get(f"/jobs/{first}/compare?with={second}").text
    shown = words(text)
    assert "policy.selection.threshold 0.35 0.62" in shown
    assert "policy.strength" not in shown
    assert "families" not in shown
    assert "not on one scale" not in shown
    assert "the same job" not in shown
    assert sum("differs" in e.attributes.get("class", "") for e in elements(text)) == 4


def test_same_input_comes_first(gate: Gate) -> None:
    """It is what a run is most often compared with; jobs without a report are not offered."""
    gate.register()
    same = gate.post(policy='{"selection": {"mode": "all"}}')
    gate.finish(gate.request_of(same), report=report_of(row()).as_bytes())
    first = gate.post()
    gate.finish(gate.request_of(first), report=report_of(row()).as_bytes())
    other = ended(gate)
    gate.post(weights=b"")
    text = gate.client.get(f"/jobs/{first.json()['id']}/compare").text
    options = [e for e in elements(text) if e.tag == "option" and e.attributes["value"]]
    assert [e.attributes["value"] for e in options] == [same.json()["id"], other]
    assert ["same input" in e.text for e in options] == [True, False]


def test_run_without_modules_is_said_to_have_none(gate: Gate) -> None:
    """Settings are compared all the same."""
    gate.register()
    first, second = ended(gate), rejected(gate)
    page = gate.client.get(f"/jobs/{first}/compare?with={second}")
    assert page.status_code == 200
    assert "rejected" in words(page.text)


def test_what_cannot_be_compared_is_said(gate: Gate) -> None:
    """Scores against two alignments, and a job with itself."""
    gate.register("one")
    gate.register("two", storage_loss=0.01)
    first, second = ended(gate, alignment="one"), ended(gate, alignment="two")

    def shown(other: str) -> str:
        return words(gate.client.get(f"/jobs/{first}/compare?with={other}").text)

    assert "not on one scale" in shown(second)
    assert "These are the same job" not in shown(second)
    assert "These are the same job" in shown(first)
