"""The worker process."""

from typing import Annotated

from pydantic import Field

from core.settings.forms import Section


class WorkerSettings(Section):
    """Of jobs that wait for one alignment up to `together` are judged in one pass over it."""

    device: str = "auto"
    threads: int | None = None
    together: Annotated[int, Field(ge=1)] = 8
