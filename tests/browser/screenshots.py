"""`make screenshots`: pictures of the page and of reports, as docs/ shows them."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from core.render.html import render_html
from tests.browser.stage import Stage, chromium, new_context, stage
from tests.core.render.made_up import of_layers

FOLDER: Final = Path("docs/screenshots")
LIGHT: Final[Mapping[str, Any]] = {"viewport": {"width": 1200, "height": 900}}
DARK: Final[Mapping[str, Any]] = {**LIGHT, "color_scheme": "dark"}
PHONE: Final[Mapping[str, Any]] = {"viewport": {"width": 390, "height": 844}}
LOOKS: Final = {"light": LIGHT, "dark": DARK, "phone": PHONE}


def main(folder: Path = FOLDER) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stage-") as scratch, chromium() as browser:
        with stage(Path(scratch)) as running:
            _pages(browser, running, folder)
        _reports(browser, folder, Path(scratch))
    return 0


def _pages(browser: Browser, running: Stage, folder: Path) -> None:
    job = running.job(metadata={"label": "support-bot, run 14"})
    other = running.job(
        policy={"selection": {"threshold": 0.4}}, metadata={"label": "support-bot, run 14, τ 0.4"}
    )
    for look, options in LOOKS.items():
        with _tab(browser, running, options) as page:
            page.goto("/")
            page.screenshot(path=folder / f"home-{look}.png")
            page.goto(f"/jobs/{job}")
            page.get_by_label("τ as a number").fill("0.4")
            expect(page.get_by_role("button", name="Apply")).to_be_enabled()
            page.wait_for_timeout(300)  # for the button to have its colour
            part = _as_far(page, "changes") if look == "light" else {}
            page.screenshot(path=folder / f"job-{look}.png", **part)
    with _tab(browser, running, LIGHT) as page:
        page.goto(f"/jobs/{job}/compare?with={other}")
        page.get_by_label("Only what differs").check()
        page.screenshot(path=folder / "compare-light.png", full_page=True)
        page.goto("/alignments")
        page.screenshot(path=folder / "alignments-light.png")


def _reports(browser: Browser, folder: Path, scratch: Path) -> None:
    """Of adapters as large as real ones, all kinds of modules in every layer."""
    for layers, look in ((32, "light"), (32, "dark"), (126, "light")):
        saved = scratch / f"report-{layers}.html"
        saved.write_bytes(render_html(of_layers(layers)))
        page = browser.new_page(**LOOKS[look])
        page.goto(saved.as_uri())
        path = folder / f"report-{layers}-layers-{look}.png"
        page.screenshot(path=path, **_as_far(page, "modules"))
        page.close()


def _as_far(page: Page, part: str) -> Any:
    """The page down to a part of the report."""
    box = page.locator(f"#report-{part}").bounding_box()
    assert box is not None
    clip = {"x": 0, "y": 0, "width": LIGHT["viewport"]["width"], "height": box["y"]}
    return {"clip": clip, "full_page": True}


@contextmanager
def _tab(browser: Browser, running: Stage, options: Mapping[str, Any]) -> Iterator[Page]:
    context = new_context(browser, running, **options)
    yield context.new_page()
    context.close()


if __name__ == "__main__":
    sys.exit(main())
