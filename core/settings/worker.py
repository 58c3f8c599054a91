"""The worker process."""

from typing import Annotated

from pydantic import Field

from core.settings.forms import Section


class WorkerSettings(Section):
    """What a worker computes with."""

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        json_schema_extra={"format": "`auto`, `cpu`, `cuda` or `cuda:<number>`"},
    )
    """What adapters are worked on with; `auto`: the GPU if there is one."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads for arithmetic on the CPU; without it as many as torch chooses."""
    together: Annotated[int, Field(ge=1)] = 8
    """Jobs for one alignment that are judged in one pass over it; 1: each alone."""
