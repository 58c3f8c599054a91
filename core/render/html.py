"""The report as one HTML page, with nothing to fetch and nothing that it needs to run."""

from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.canonical import digest
from core.findings import printable
from core.render.changes import changes
from core.render.distribution import distribution
from core.render.finding_groups import finding_groups
from core.render.heat import heat_map
from core.render.heat_picture import heat_picture
from core.render.terminal import REASONS, summary_line
from core.render.words import LIMITS, policy_words, side_changes, sign_words, verdict_words
from core.report import Report

REPORT_CSS: Final = files("core.render").joinpath("report.css").read_text()
"""What the body needs to be read; it touches nothing outside `.report`."""
REPORT_JS: Final = files("core.render").joinpath("report_sort.js").read_text()
"""What the body can do without: its table of modules is sorted by any column."""


def render_html(report: Report) -> bytes:
    """report.html, byte for byte the same for the same report."""
    css, script = Markup(REPORT_CSS), Markup(REPORT_JS)  # noqa: S704  (ours, and no text of anyone's)
    page = _environment().get_template("report.html")
    return page.render(css=css, script=script, opens=True, **_of(report)).encode()


def report_body(report: Report) -> Markup:
    """What a page of its own, which says the verdict itself, shows of the report, under a heading
    and with `REPORT_CSS`."""
    body = _environment().get_template("report_body.html").render(opens=False, **_of(report))
    return Markup(body)  # noqa: S704  (the template escapes what it is given)


def _of(report: Report) -> dict[str, object]:
    heat = heat_map(report.modules)
    return {
        "report": report,
        "summary": summary_line(report),
        "verdict": verdict_words(report),
        "signs": sign_words(report),
        "groups": finding_groups(report.findings),
        "heat": heat_picture(report.modules, heat),
        "distribution": distribution(report.modules, report.policy),
        "changes": changes(report.modules, heat),
        "side_changes": side_changes(report),
        "policy": policy_words(report.policy),
        "policy_digest": digest(report.policy.as_json()),
        "limits": LIMITS,
        "reasons": REASONS,
    }


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
    environment.filters["number"] = lambda v: "–" if v is None else f"{v:z.4f}"
    environment.filters["percent"] = lambda v: "–" if v is None else f"{v:.1%}"
    environment.filters["brief"] = lambda v: f"{v:z.4g}"
    environment.filters["printable"] = printable
    return environment
