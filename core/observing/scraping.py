"""Where Prometheus reads the metrics of a process that serves no HTTP otherwise."""

from prometheus_client import CollectorRegistry, start_http_server

from core.settings import MetricsSettings, SettingsInvalid


def serve(registry: CollectorRegistry, settings: MetricsSettings) -> None:
    """In a thread that ends with the process; nowhere without a port. Raises `SettingsInvalid` if
    the port cannot be had."""
    if settings.port is None:
        return
    try:
        start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        raise SettingsInvalid(
            f"SAFELORA_METRICS__PORT: {settings.host}:{settings.port} cannot be listened on:"
            f" {error.strerror}. Each process needs one of its own"
        ) from error
