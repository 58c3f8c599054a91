"""The page of one job says how it fares, what came of it, and what can be done."""

import json

import pytest

from core.jobs import JobResult, JobState, Progress, now
from tests.app.conftest import OpenGate
from tests.app.gate import Gate
from tests.app.test_access import access, key
from tests.app.test_results import expire_all
from tests.app.test_sessions import as_browser_of
from tests.web.made_up import ended, failed, posted, rejected, report_of, row
from tests.web.structure import Element, elements, of_id, words


def page(gate: Gate, job_id: str) -> str:
    answer = gate.client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200
    return str(answer.text)


def links(text: str) -> set[str]:
    return {e.attributes["href"] for e in elements(text) if "href" in e.attributes}


def current_stage(text: str) -> str:
    [element] = [e for e in elements(text) if e.attributes.get("aria-current") == "step"]
    return element.attributes["data-stage"]


def slider(text: str) -> Element | None:
    return of_id(text, "tau")


def test_job_under_way_shows_its_stage(gate: Gate) -> None:
    """Before any event has come, and it can be cancelled; there is nothing to download."""
    gate.register()
    job_id = posted(gate).json()["id"]
    text = page(gate, job_id)
    assert current_stage(text) == "queued"
    assert of_id(text, "cancel")
    assert not any(link.startswith("/v1/") for link in links(text))
    gate.services.queue.set_progress(
        job_id, Progress(stage="score", done=3, total=28, started_at=now())
    )
    assert current_stage(page(gate, job_id)) == "score"


def test_every_file_of_a_result_can_be_had(gate: Gate) -> None:
    """Each link of the page is answered."""
    gate.register()
    job_id = ended(gate)
    found = {link for link in links(page(gate, job_id)) if link.startswith("/v1/")}
    own = f"/v1/jobs/{job_id}"
    assert found >= {f"{own}/adapter", f"{own}/report.html", f"{own}/report.json"}
    assert f"{own}/adapter/adapter_model.safetensors" in found
    assert all(gate.client.get(link).status_code == 200 for link in found)


def test_rejected_adapter_is_told_what_to_do(gate: Gate) -> None:
    """The findings and the way out; no adapter and no threshold to try."""
    gate.register()
    text = page(gate, rejected(gate, "a.lora_A.weight"))
    assert "a.lora_A.weight" in text
    assert "non_finite" in text
    assert slider(text) is None
    assert not any("/adapter" in link for link in links(text))


def test_failed_job_says_why_and_can_be_tried_again(gate: Gate) -> None:
    """The code, the message, and that it is no fault of the adapter."""
    gate.register()
    text = page(gate, failed(gate, "the disk is full: make room"))
    assert "engine_error" in text
    assert "the disk is full: make room" in words(text)
    assert of_id(text, "retry")


def test_cancelled_job_can_be_tried_again(gate: Gate) -> None:
    """Nothing was published."""
    gate.register()
    job_id = posted(gate).json()["id"]
    word = JobResult(state=JobState.CANCELLED, finished_at=now())
    gate.services.records.finish("default", job_id, word)
    text = page(gate, job_id)
    assert of_id(text, "retry")
    assert "cancelled" in words(text)


def test_expired_result_is_said_plainly(gate: Gate) -> None:
    """And nothing is offered that is gone."""
    gate.register()
    job_id = ended(gate)
    expire_all(gate, results=30)
    text = page(gate, job_id)
    assert "The result has expired" in words(text)
    assert slider(text) is None
    assert not any(link.startswith("/v1/") for link in links(text))


def test_report_of_another_version_is_to_be_had_as_it_is(gate: Gate) -> None:
    """The page cannot show it, and does not fail of it."""
    gate.register()
    response = posted(gate)
    gate.finish(gate.request_of(response), report=b'{"schema": "safelora-gate/report/9"}')
    job_id = response.json()["id"]
    text = page(gate, job_id)
    assert "another version" in words(text)
    assert f"/v1/jobs/{job_id}/report.json" in links(text)


def test_modules_keep_the_reports_order(gate: Gate) -> None:
    """The slider finds them by it."""
    gate.register()
    names = [f"model.layers.{n}.q_proj" for n in (10, 2, 1)]
    text = page(gate, ended(gate, report_of(*map(row, names))))
    table = [e for e in elements(text) if e.text in names]
    assert [e.text for e in table] == names


@pytest.mark.parametrize(("cosine", "shown"), [(0.3, True), (None, False)])
def test_threshold_is_tried_where_there_is_a_cosine(
    gate: Gate, cosine: float | None, shown: bool
) -> None:
    """Without V there is nothing to choose by."""
    gate.register()
    text = page(gate, ended(gate, report_of(row(cosine=cosine))))
    assert (slider(text) is not None) is shown


def test_slider_begins_where_the_job_chose(gate: Gate) -> None:
    """At its τ, with the families' own; where it chose otherwise, at the built-in τ."""
    gate.register()
    policy = {"selection": {"threshold": 0.6, "families": {"q_proj": 0.5}}}
    text = page(gate, ended(gate, policy=json.dumps(policy)))
    begun = slider(text)
    part = of_id(text, "what-if")
    assert begun is not None
    assert part is not None
    assert begun.attributes["value"] == "0.6"
    assert json.loads(part.attributes["data-selection"])["families"] == {"q_proj": 0.5}
    text = page(gate, ended(gate, policy='{"selection": {"mode": "all"}}'))
    begun = slider(text)
    assert begun is not None
    assert begun.attributes["value"] == "0.35"


@pytest.mark.parametrize("may", [True, False])
def test_who_may_go_below_the_floor_is_told_to_the_slider(open_gate: OpenGate, may: bool) -> None:
    """By the scope of who looks."""
    scopes = ["jobs", "policy:override"] if may else ["jobs"]
    gate = open_gate(access=access(key("slg_a", "default", *scopes)))
    as_browser_of(gate, "slg_a")
    gate.register()
    part = of_id(page(gate, ended(gate)), "what-if")
    assert part is not None
    assert json.loads(part.attributes["data-may-go-below"]) is may


@pytest.mark.parametrize("below", [True, False])
def test_a_job_below_the_floor_says_so_to_who_looks(open_gate: OpenGate, below: bool) -> None:
    """From its beginning, with the fields."""
    gate = open_gate(access=access(key("slg_a", "default", "jobs", "policy:override")))
    as_browser_of(gate, "slg_a")
    gate.register()
    policy = {"policy": '{"strength": 0.5}'} if below else {}
    text = page(gate, posted(gate, **policy).json()["id"])
    assert ("Weaker than the floor of base (strength)" in text) is below


def test_run_leads_to_the_one_whose_input_it_has(gate: Gate) -> None:
    """To compare the two, what was on the left."""
    gate.register()
    first = gate.post().json()["id"]
    again = gate.client.post(
        "/v1/jobs", json={"source": f"job:{first}", "policy": {"selection": {"mode": "all"}}}
    )
    gate.finish(gate.request_of(again), report=report_of(row()).as_bytes())
    second = again.json()["id"]
    assert f"/jobs/{first}/compare?with={second}" in links(page(gate, second))
