"""The worker process."""

from core.settings.forms import Section


class WorkerSettings(Section):
    device: str = "auto"
    threads: int | None = None
