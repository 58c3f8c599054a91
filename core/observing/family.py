"""A metric as it is declared: its name, what it says, and by what it is told apart.

Labels have few values, all of ours or of the operator: never a job, a tenant, a path or a word of
a caller's.
"""

from dataclasses import dataclass
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Bounds of a histogram, from an answer out of memory to a job that takes all it may."""


@dataclass(frozen=True)
class Family:
    """`kind` is Prometheus's word for it."""

    kind: ClassVar[str]

    name: str
    words: str
    labels: tuple[str, ...] = ()


class Counted(Family):
    """Only ever grows, from 0 at the process's start."""

    kind = "counter"

    def made(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.words, self.labels, registry=registry)

    def read(self) -> CounterMetricFamily:
        """To be filled by what is asked at each scrape."""
        return CounterMetricFamily(self.name, self.words, labels=self.labels)


def begin(counter: Counter, *labels: tuple[str, ...]) -> None:
    """Tell these from the start, as 0: of a count that comes out of nothing Prometheus sees no
    increase, and a rule on the first one would miss it."""
    for values in labels:
        counter.labels(*values)


class Gauged(Family):
    """Goes up and down."""

    kind = "gauge"

    def made(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.words, self.labels, registry=registry)

    def read(self) -> GaugeMetricFamily:
        """To be filled by what is asked at each scrape."""
        return GaugeMetricFamily(self.name, self.words, labels=self.labels)


@dataclass(frozen=True)
class Spread(Family):
    """How often a value was how large: at most `bounds`, in the unit of the name."""

    kind = "histogram"

    bounds: tuple[float, ...] = SECONDS

    def made(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.words, self.labels, registry=registry, buckets=self.bounds)
