"""Each part of a gate in a cluster is scraped, and nobody else reads what it tells."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
import yaml

from core.observing import api, errands, process, work
from core.observing.family import Family
from tests.core.observing.test_rules import (
    ALERTS,
    EXAMPLE,
    NOT_OURS,
    RULES,
    SHOWN,
    asked_for,
    exported,
)
from tests.deploy.reading import (
    OVERLAYS,
    Json,
    components_of,
    image_environment,
    kind,
    selected,
    templates,
)

TOLD_BY: Mapping[str, Sequence[Family]] = {
    "api": (*process.FAMILIES, *api.FAMILIES),
    "worker": (*process.FAMILIES, *work.FAMILIES),
    "courier": (*process.FAMILIES, *errands.FAMILIES),
}
WATCHED = [overlay for overlay in OVERLAYS if kind(overlay, "PodMonitor", "ServiceMonitor")]

each_watched = pytest.mark.parametrize("overlay", WATCHED)


@dataclass(frozen=True)
class Scrape:
    """A part, the name of the port that it is asked at, and the `job` that it is known by."""

    part: str
    port: str
    job: str


def scrapes(overlay: str) -> Iterator[Scrape]:
    for monitor in kind(overlay, "PodMonitor", "ServiceMonitor"):
        spec = monitor["spec"]
        [part] = selected(overlay, spec["selector"]["matchLabels"])
        [endpoint] = spec.get("podMetricsEndpoints") or spec["endpoints"]
        [relabeling] = endpoint["relabelings"]
        assert relabeling["targetLabel"] == "job"
        yield Scrape(part, endpoint["port"], relabeling["replacement"])


def told(overlay: str) -> set[str]:
    """The names of all that its monitors find."""
    return set(NOT_OURS) | {
        name
        for scrape in scrapes(overlay)
        for family in TOLD_BY[scrape.part]
        for name, _ in exported(family)
    }


def settings_of_part(overlay: str, part: str) -> dict[str, str]:
    [container] = templates(overlay)[part]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container.get("env", [])}


def let_in(overlay: str, part: str) -> Iterator[tuple[Json, list[Json]]]:
    """Who may connect to it, a peer each, with the ports; none of them: all."""
    for policy in kind(overlay, "NetworkPolicy"):
        if part in components_of(policy["spec"]["podSelector"]):
            for rule in policy["spec"].get("ingress", []):
                yield from ((peer, rule.get("ports", [])) for peer in rule.get("from", [{}]))


def test_some_overlay_is_watched() -> None:
    """Else the tests here would hold of nothing."""
    assert WATCHED


@each_watched
def test_what_is_asked_for_is_scraped(overlay: str) -> None:
    """By the dashboard, the alerts and what scales: else a panel is empty, and an alert silent."""
    scaled = [
        trigger["metadata"]["query"]
        for scaler in kind(overlay, "ScaledObject")
        for trigger in scaler["spec"]["triggers"]
    ]
    names = told(overlay)
    for text in (*SHOWN, *(rule["expr"] for rule in ALERTS), *scaled):
        assert {selector.name for selector in asked_for(text)} <= names, text


@each_watched
def test_a_part_listens_where_it_is_scraped(overlay: str) -> None:
    """Workers and couriers do so only if they are told to, and beyond their own pod."""
    for scrape in scrapes(overlay):
        [container] = templates(overlay)[scrape.part]["spec"]["containers"]
        [port] = [p["containerPort"] for p in container["ports"] if p["name"] == scrape.port]
        if scrape.part != "api":
            own = settings_of_part(overlay, scrape.part)
            assert own["SAFELORA_METRICS__PORT"] == str(port)
            assert own["SAFELORA_METRICS__HOST"] == "0.0.0.0"


@each_watched
def test_prometheus_alone_is_let_in(overlay: str) -> None:
    """There is no key at the port of a worker or a courier: whoever reaches it is answered."""
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    for scrape in scrapes(overlay):
        peers = [p for p, ports in let_in(overlay, scrape.part) if {"port": scrape.port} in ports]
        assert prometheus in peers, scrape
        if scrape.part != "api":
            assert list(let_in(overlay, scrape.part)) == [(prometheus, [{"port": scrape.port}])]


@pytest.mark.parametrize("overlay", sorted(set(OVERLAYS) - set(WATCHED)))
def test_what_nobody_scrapes_does_not_listen(overlay: str) -> None:
    """Nor is anybody let in."""
    assert not [name for name in image_environment() if name.startswith("SAFELORA_METRICS__")]
    for part in ("worker", "courier"):
        assert "SAFELORA_METRICS__PORT" not in settings_of_part(overlay, part)
        assert not list(let_in(overlay, part))


def test_a_part_has_one_name_everywhere() -> None:
    """Its `job`, by which alerts and panels choose, in the cluster and in the example."""
    jobs = {scrape.job for overlay in WATCHED for scrape in scrapes(overlay)}
    assert jobs == {f"safelora-{part}" for part in TOLD_BY}
    assert jobs == {
        job["job_name"] for job in yaml.safe_load(EXAMPLE.read_text())["scrape_configs"]
    }
    for text in (*SHOWN, *(rule["expr"] for rule in ALERTS)):
        for selector in asked_for(text):
            for matcher in selector.matchers.matchers:
                if matcher.name == "job":
                    assert [job for job in jobs if re.fullmatch(matcher.value, job)], text


@each_watched
def test_the_cluster_has_every_alert(overlay: str) -> None:
    """As `make docs` writes them from those that are tried."""
    [rules] = kind(overlay, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load(RULES.read_text())
