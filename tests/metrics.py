"""What a process tells Prometheus, read as Prometheus reads it."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Told:
    """Values by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.values: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """0 for what was not told, as for what never happened."""
        return self.values.get((name, frozenset(labels.items())), 0.0)

    def has(self, name: str) -> bool:
        return any(sample == name for sample, _ in self.values)

    def labels(self, name: str) -> Iterator[dict[str, str]]:
        return (dict(labels) for sample, labels in self.values if sample == name)


def told(registry: CollectorRegistry) -> Told:
    return Told(generate_latest(registry).decode())
