"""The faults of a run and how long the service took to be back after each, as a table."""

import math

from chaos.story import Story


def as_markdown(story: Story) -> str:
    """In Markdown: a row for each kind of fault, and the last line of the run."""
    lines = [
        "| fault | times | back after, median | longest |",
        "|---|---:|---:|---:|",
        *(
            f"| {row.fault} | {row.count} | {_seconds(row.median)} | {_seconds(row.longest)} |"
            for row in story.recovered
        ),
        "",
        f"    {story.outcome}",
        "",
    ]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.1f} s"
