"""The report as one HTML page, with nothing to fetch and nothing to run."""

from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.render.terminal import REASONS, summary_line
from core.report import Report

REPORT_CSS: Final = files("core.render").joinpath("report.css").read_text()


def render_html(report: Report) -> bytes:
    """report.html, byte for byte the same for the same report."""
    css = Markup(REPORT_CSS)  # noqa: S704  (ours, and no text of anyone's)
    page = _environment().get_template("report.html").render(css=css, **_of(report))
    return page.encode()


def report_body(report: Report) -> Markup:
    """What a page of its own shows of the report, under a heading and with `REPORT_CSS`."""
    body = _environment().get_template("report_body.html").render(**_of(report))
    return Markup(body)  # noqa: S704  (the template escapes what it is given)


def _of(report: Report) -> dict[str, object]:
    return {"report": report, "summary": summary_line(report), "reasons": REASONS}


@cache
def _environment() -> Environment:
    """Kept, since compiling its templates takes ten times as long as a small page."""
    environment = Environment(
        loader=PackageLoader("core.render", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda v: "–" if v is None else f"{v:.4f}"
    return environment
