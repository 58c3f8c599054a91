"""The dashboard, as Grafana reads it: each panel in its part's row, with its unit, its lines told
apart, of the Prometheus that is chosen above."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.observing.test_rules import DASHBOARD, EXPORTED, PANELS, asked_for

CHOSEN = {"type": "prometheus", "uid": "${datasource}"}
SHOWING = [panel for panel in PANELS if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in SHOWING for target in panel["targets"]]

each_target = pytest.mark.parametrize(
    ("panel", "target"), TARGETS, ids=[f"{p['id']}{t['refId']}" for p, t in TARGETS]
)


def test_it_asks_the_prometheus_that_is_chosen() -> None:
    """One that is named would be none of the reader's."""
    [variable] = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert {json.dumps(panel["datasource"]) for panel in SHOWING} == {json.dumps(CHOSEN)}
    assert {json.dumps(target["datasource"]) for _, target in TARGETS} == {json.dumps(CHOSEN)}


def test_each_part_has_its_row() -> None:
    """A panel lies in the row above it, and none above the first."""
    rows = {p["gridPos"]["y"]: p["title"] for p in PANELS if p["type"] == "row"}
    assert list(rows.values()) == [
        *("Now", "Jobs", "API", "Object store", "Workers", "Courier", "Every process")
    ]
    of_row: dict[str, list[str]] = {title: [] for title in rows.values()}
    for panel in SHOWING:
        of_row[rows[max(y for y in rows if y < panel["gridPos"]["y"])]].append(panel["title"])
    for title, panels in of_row.items():
        assert panels, title
        assert len(set(panels)) == len(panels), title


def units(text: str) -> Iterator[str]:
    """What the metrics' names say that it shows, where they say it."""
    names = [selector.name or "" for selector in asked_for(text)]
    if any(re.search(r"_seconds(_bucket|_sum)?$", name) for name in names):
        yield "s"
    if any(name.endswith("_bytes") for name in names):
        yield "percentunit" if "/" in text else "bytes"
    if any(name.endswith("_bytes_total") for name in names):
        yield "Bps"


@each_target
def test_a_panel_shows_what_it_measures(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """In one unit, and that of the metric; what is drawn of times and bytes begins at 0."""
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    for unit in units(target["expr"]):
        assert defaults["unit"] == unit
    if panel["type"] == "timeseries":
        assert defaults["min"] == 0


@each_target
def test_lines_are_told_apart(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """The legend names each label that there is a line for, and none that there is not."""
    text, legend = target["expr"], target["legendFormat"]
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    grouped = re.search(r"\bby \(([\w, ]+)\)", text)
    if grouped and not text.startswith("max(sum"):
        assert shown == set(grouped[1].split(", ")) - {"le"}
    elif re.search(r"\b(sum|max|count)\b", text):
        assert not shown
        assert legend or len(panel["targets"]) == 1
    else:
        [name, *_] = [selector.name or "" for selector in asked_for(text)]
        assert "instance" in shown
        assert EXPORTED[name] - {"job"} <= shown <= EXPORTED[name]


def test_what_is_asked_first_has_a_panel() -> None:
    """Tiers, waits, stages, verdicts, deliveries, memory: what a runbook sends its reader to."""
    shown = " ".join(target["expr"] for _, target in TARGETS)
    for part in (
        *("by (tier) (rate(safelora_alignment_read_bytes_total", "safelora_tier_used_bytes"),
        *("0.95, sum by (le) (rate(safelora_job_wait_seconds_bucket", "by (verdict)"),
        "0.95, sum by (le, stage) (rate(safelora_job_stage_duration_seconds_bucket",
        *("safelora_webhook_deliveries_ended_total", "safelora_webhook_attempts_total"),
        *('process_resident_memory_bytes{job="safelora-worker"}', 'up{job=~"safelora.*"}'),
    ):
        assert part in shown, part
