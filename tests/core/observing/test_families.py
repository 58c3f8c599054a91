"""The metrics that are declared, what is exported, and the page that documents them."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.observing import api, errands, process, work
from core.observing.family import Counted, Family, Spread
from core.render.metrics_page import SECTIONS, completed

PAGE = Path(__file__).parents[3] / "docs" / "observing.md"
ALL = [family for families in SECTIONS.values() for family in families]
UNITS = (
    "seconds",
    "bytes",
    "total",
    "info",
    "up",
    "jobs",
    "workers",
    "company",
    "due",
    "in_flight",
)


def test_the_page_lists_every_metric_as_it_is_declared() -> None:
    """docs/observing.md is what `make docs` writes."""
    page = PAGE.read_text()
    assert completed(page) == page


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_names_are_as_prometheus_wants_them(family: Family) -> None:
    """Ours by prefix, in base units, a counter by its ending; and it says what it is."""
    assert re.fullmatch(r"safelora_[a-z_]+", family.name)
    assert family.name.endswith(UNITS)
    assert family.name.endswith("_total") == isinstance(family, Counted)
    assert family.words[0].islower() or family.words[0].isdigit()
    if isinstance(family, Spread):
        assert list(family.bounds) == sorted(family.bounds)


@pytest.mark.parametrize(
    ("registry", "families"),
    [
        (api.ApiMetrics().registry, api.FAMILIES),
        (work.WorkerMetrics().registry, work.COUNTED),
        (errands.CourierMetrics().registry, errands.FAMILIES),
    ],
    ids=["api", "worker", "courier"],
)
def test_what_is_exported_is_declared(
    registry: CollectorRegistry, families: Sequence[Family]
) -> None:
    """Nothing is told that no page names. What is read at the scrape is asked for elsewhere."""
    exported = {metric.name for metric in registry.collect()}
    ours = {name for name in exported if not name.startswith("process_")}
    declared = {_plain(family.name) for family in (*families, *process.FAMILIES)}
    assert ours <= declared
    read = (*process.FAMILIES, *api.READ)
    assert declared - ours <= {_plain(family.name) for family in read}


def _plain(name: str) -> str:
    return name.removesuffix("_total")
