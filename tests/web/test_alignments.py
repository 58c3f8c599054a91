"""The page of alignments: which there are, what they hold, and how adapters are judged."""

from core.alignments import MANIFEST_FILE, PairWarning
from core.scopes import JOBS
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.gate import BASE_NAME, Gate
from tests.app.test_access import access, key
from tests.app.test_sessions import as_browser_of
from tests.web.structure import of_id, words


def shown(gate: Gate) -> str:
    page = gate.client.get("/alignments")
    assert page.status_code == 200
    return words(page.text)


def test_what_is_stored_is_shown(gate: Gate) -> None:
    """Name, id, the adapters it is for, modules, size and policies."""
    record = gate.register("tiny", default_policy={"selection": {"threshold": 0.62}})
    text = shown(gate)
    for part in ("tiny", record.id or "", BASE_NAME, "modules 1", "384 B", "0.62", "The same"):
        assert part in text


def test_failure_and_warnings_are_shown(gate: Gate) -> None:
    """With what to do."""
    warning = PairWarning(code="pair_swapped", message="look at which is the base")
    record = gate.register("odd", warnings=[warning])
    failed = record.as_failed("pair_unusable", "no such file", record.created_at)
    gate.services.records.save_alignment(failed.model_copy(update={"name": "lost", "id": None}))
    text = shown(gate)
    for part in ("pair_swapped", "look at which is the base", "pair_unusable", "no such file"):
        assert part in text


def test_places_are_for_who_registers(open_gate: OpenGate) -> None:
    """Paths of the gate's machine, and messages that name them."""
    gate = open_gate(access=access(key("slg_a", "a", JOBS)))
    as_browser_of(gate, "slg_a")
    record = gate.register()
    failed = record.as_failed("pair_unusable", "/models/secret is gone", record.created_at)
    gate.services.records.save_alignment(failed.model_copy(update={"name": "lost", "id": None}))
    text = shown(gate)
    assert "/models" not in text
    assert "pair_unusable" in text


def test_what_is_gone_from_the_store_is_said(gate: Gate) -> None:
    """Ready by its record, and of no use."""
    record = gate.register()
    gate.services.store.delete(layout.alignment(record.id or "", MANIFEST_FILE))
    assert "gone from the store" in shown(gate)


def test_builds_are_looked_at_more_often(gate: Gate) -> None:
    """The script goes by their number."""
    record = gate.register()
    building = record.model_copy(update={"name": "new", "state": "building", "id": None})
    gate.services.records.save_alignment(building)
    part = of_id(gate.client.get("/alignments").text, "alignments")
    assert part is not None
    assert part.attributes["data-building"] == "1"
