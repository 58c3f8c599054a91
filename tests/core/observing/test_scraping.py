"""The port that Prometheus reads a process on."""

import socket

import httpx2
import pytest

from core.observing.errands import CourierMetrics
from core.observing.scraping import serve
from core.settings import MetricsSettings, SettingsInvalid
from tests.metrics import Told
from tests.servers import free_ports


def test_metrics_are_read_on_a_port() -> None:
    """Of that process alone, and on loopback unless told otherwise."""
    (port,) = free_ports(1)
    metrics = CourierMetrics()
    metrics.requeued.inc(3)
    serve(metrics.registry, MetricsSettings(port=port))
    answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert Told(answer.text)("safelora_jobs_requeued_total") == 3


def test_a_port_that_is_taken_is_named() -> None:
    """Two processes of one environment would ask for the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"SAFELORA_METRICS__PORT: 127.0.0.1:{port}"):
            serve(CourierMetrics().registry, MetricsSettings(port=port))
