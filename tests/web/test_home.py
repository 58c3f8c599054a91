"""The first page: the form, and the jobs."""

import json

from core.settings import LimitSettings
from tests.app.conftest import OpenGate
from tests.app.gate import BASE_NAME, Gate
from tests.web.made_up import ended, failed, posted
from tests.web.structure import elements, of_id, words


def jobs_of(text: str) -> list[str]:
    """Ids of the jobs that are listed, in their order."""
    shown = [e.attributes.get("href", "") for e in elements(text) if e.tag == "a"]
    return [link.removeprefix("/jobs/") for link in shown if link.startswith("/jobs/")]


def test_form_offers_what_is_ready(gate: Gate) -> None:
    """With what the script needs to find the one that fits and to build on its policy."""
    record = gate.register("ready")
    building = record.model_copy(update={"name": "building", "state": "building", "id": None})
    gate.services.records.save_alignment(building)
    text = gate.client.get("/").text
    listed = [e.attributes for e in elements(text) if "data-policy" in e.attributes]
    options = {option["value"]: option for option in listed}
    assert "disabled" in options["building"]
    assert "disabled" not in options["ready"]
    assert json.loads(options["ready"]["data-base-names"]) == [BASE_NAME]
    assert json.loads(options["ready"]["data-policy"]) == record.default_policy.as_json()


def test_policy_of_each_alignment_is_in_words(gate: Gate) -> None:
    """Its own τ, for who has never seen it."""
    gate.register(default_policy={"selection": {"threshold": 0.62}})
    assert "0.62" in words(gate.client.get("/").text)


def test_gate_without_alignments_says_where_they_come_from(gate: Gate) -> None:
    """Nothing can be posted yet."""
    text = gate.client.get("/").text
    assert "There is no alignment" in words(text)
    assert "safelora-gate align" in words(gate.client.get("/alignments").text)


def test_limit_is_that_of_the_tenant(open_gate: OpenGate) -> None:
    """So that too large a file is not sent at all."""
    gate = open_gate(limits=LimitSettings(upload=5000))
    form = of_id(gate.client.get("/").text, "new-job")
    assert form is not None
    assert form.attributes["data-limit"] == "5000"


def test_jobs_are_listed_newest_first_and_filtered(gate: Gate) -> None:
    """By state, by alignment, by both."""
    gate.register("one")
    gate.register("two", base_names=[])
    done = ended(gate, alignment="one")
    lost = failed(gate)
    waiting = posted(gate, alignment="two").json()["id"]

    def listed(query: str) -> list[str]:
        return jobs_of(gate.client.get(f"/?{query}").text)

    assert listed("") == [waiting, lost, done]
    assert listed("state=failed&alignment=") == [lost]
    assert listed("state=&alignment=one") == [lost, done]
    assert listed("state=succeeded&alignment=two") == []


def test_pages_of_jobs_hold_each_once(gate: Gate) -> None:
    """The way from one to the next keeps the filter."""
    gate.register()
    posted_ids = [posted(gate).json()["id"] for _ in range(23)]
    found, path = [], "/?state=queued&alignment=base"
    while path:
        text = gate.client.get(path).text
        found += jobs_of(text)
        older = [e for e in elements(text) if e.tag == "a" and e.text.strip() == "Older"]
        path = older[0].attributes["href"] if older else ""
        assert not path or "state=queued" in path
    assert found == posted_ids[::-1]


def test_running_jobs_are_looked_at_more_often(gate: Gate) -> None:
    """The script goes by their number."""
    gate.register()
    ended(gate)
    posted(gate)
    part = of_id(gate.client.get("/").text, "jobs")
    assert part is not None
    assert part.attributes["data-active"] == "1"
