"""The report as one HTML page, with nothing to fetch and nothing to run."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from core.render.terminal import REASONS, summary_line
from core.report import Report


def render_html(report: Report) -> bytes:
    """report.html, byte for byte the same for the same report."""
    page = _template().render(report=report, summary=summary_line(report), reasons=REASONS)
    return page.encode()


@cache
def _template() -> Template:
    """Compiled once a process: that takes ten times as long as a small page."""
    environment = Environment(
        loader=PackageLoader("core.render", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda v: "–" if v is None else f"{v:.4f}"
    return environment.get_template("report.html")
