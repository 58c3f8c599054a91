"""What ships for Prometheus and Grafana asks only for what is exported, and says what to do."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import Expr, VectorSelector

from core.observing.family import Family, Spread
from core.render.metrics_page import SECTIONS

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "safelora.json"
EXAMPLE = RULES.with_name("prometheus.yaml")
TRIED = RULES.with_name("alerts_test.yaml")
PROMTOOL = shutil.which("promtool")
PAGE = ROOT / "docs" / "observing.md"

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
SHOWN = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
OF_ALL = {"instance", "job"}
NOT_OURS: Mapping[str, set[str]] = {
    "up": OF_ALL,
    "process_resident_memory_bytes": OF_ALL,
    "process_cpu_seconds_total": OF_ALL,
}


def exported(family: Family) -> Iterator[tuple[str, set[str]]]:
    """The names that one is asked for by, each with its labels."""
    labels = {*family.labels, *OF_ALL}
    if isinstance(family, Spread):
        yield from ((f"{family.name}_{part}", labels) for part in ("sum", "count"))
        yield f"{family.name}_bucket", {*labels, "le"}
    else:
        yield family.name, labels


EXPORTED = dict(NOT_OURS) | dict(
    pair for families in SECTIONS.values() for family in families for pair in exported(family)
)


def asked_for(text: str) -> list[VectorSelector]:
    """Raises `ValueError` for what is no PromQL."""
    found: list[VectorSelector] = []

    def visit(expression: Expr) -> None:
        if isinstance(expression, VectorSelector):
            found.append(expression)
        elif isinstance(expression, promql_parser.MatrixSelector):
            found.append(expression.vector_selector)

    promql_parser.walk(promql_parser.parse(text.replace("$__rate_interval", "5m")), visit)
    return found


@pytest.mark.parametrize("text", [*(rule["expr"] for rule in ALERTS), *SHOWN])
def test_only_what_is_exported_is_asked_for(text: str) -> None:
    """By its name and its labels: a metric that is renamed would fall silent unnoticed."""
    selectors = asked_for(text)
    assert selectors
    for selector in selectors:
        assert selector.name in EXPORTED
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= EXPORTED[selector.name], selector.name
    grouped = {
        name for found in re.findall(r"by \(([\w, ]*)\)", text) for name in found.split(", ")
    }
    known = {label for selector in selectors for label in EXPORTED[selector.name or ""]}
    assert grouped - {""} <= known


def test_a_parser_that_takes_all_would_prove_nothing() -> None:
    """What is no PromQL is told."""
    for wrong in ("rate(safelora_jobs[5m]", "sum(x) by", "nofunction(x)", "rate(x)"):
        with pytest.raises(ValueError, match=r"\w"):
            asked_for(wrong)


def test_whatever_is_exported_is_shown() -> None:
    """A metric that nobody looks at is not worth its room."""
    used = {
        s.name for text in (*SHOWN, *(rule["expr"] for rule in ALERTS)) for s in asked_for(text)
    }
    for families in SECTIONS.values():
        for family in families:
            assert used & {name for name, _ in exported(family)}, family.name


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """How urgent it is, what is wrong, and a section of the page under its own name."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/observing.md#{rule['alert'].lower()}"
    sections = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)
    [section] = [text for text in sections if text.startswith(f"{rule['alert']}\n")]
    assert len(section.split()) > 15


def tried(alert: str) -> Iterator[tuple[bool, set[str]]]:
    """Whether it is to fire, and on figures of which metrics, for each time that it is tried."""
    for group in yaml.safe_load(TRIED.read_text())["tests"]:
        given = {series["series"].partition("{")[0] for series in group["input_series"]}
        for case in group["alert_rule_test"]:
            if case["alertname"] == alert:
                yield bool(case.get("exp_alerts")), given


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_tried(rule: dict[str, Any]) -> None:
    """On figures that it is to fire at, and on others, not on none, that it is to be quiet at."""
    asked = {selector.name or "" for selector in asked_for(rule["expr"])}
    assert {fires for fires, given in tried(rule["alert"]) if asked <= given} == {True, False}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "command",
    [("test", "rules", TRIED.name), ("check", "config", "--syntax-only", EXAMPLE.name)],
    ids=["rules", "example"],
)
def test_prometheus_takes_what_ships(command: tuple[str, ...]) -> None:
    """Every alert fires when it is to, and not before, as Prometheus itself reckons; and the
    example of how it reads a gate is none that it refuses."""
    done = subprocess.run(
        [str(PROMTOOL), *command], cwd=TRIED.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_panels_lie_on_each_other() -> None:
    """Each on its own place, and under an id of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
