"""Pages for those without a mouse, on a telephone, in the dark, and with a screen reader."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stage import Stage, new_context
from tests.browser.test_a_job import ended, paths
from tests.browser.watching import Watched, barriers

PHONE: Final = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK: Final = {"color_scheme": "dark"}
PAGES: Final = ("/", "/alignments", "/jobs/{job}", "/jobs/{job}/compare?with={other}")
REPORT: Final = "/v1/jobs/{job}/report.html"


@pytest.fixture(scope="module")
def jobs(running: Stage) -> dict[str, str]:
    return {"job": running.job(), "other": running.job(policy={"selection": {"mode": "all"}})}


@pytest.fixture(params=[{}, DARK, PHONE, {**DARK, **PHONE}], ids=["", "dark", "phone", "both"])
def tab(
    request: pytest.FixtureRequest, browser: Browser, running: Stage, watched: Watched
) -> Iterator[Page]:
    options: dict[str, Any] = request.param
    context = new_context(browser, running, **options)
    page = context.new_page()
    watched.watch(page)
    yield page
    context.close()
    assert watched.unexpected() == []


@pytest.mark.parametrize("path", [*PAGES, REPORT])
def test_page_keeps_nobody_out(tab: Page, jobs: dict[str, str], path: str) -> None:
    """Nothing serious by axe-core, and nothing wider than the screen."""
    tab.goto(path.format(**jobs))
    assert barriers(tab) == []
    width = tab.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], f"{path} is {width[0]} wide"


@pytest.mark.parametrize("path", [*PAGES, REPORT])
def test_dark_is_dark(browser: Browser, running: Stage, jobs: dict[str, str], path: str) -> None:
    """And light is light, by what is behind the text."""
    shades = []
    for options in ({}, DARK):
        context = new_context(browser, running, **options)
        page = context.new_page()
        page.goto(path.format(**jobs))
        colour = page.evaluate(
            "[document.body, document.documentElement].map(e => getComputedStyle(e)"
            ".backgroundColor).find(c => !c.endsWith(', 0)')) ?? 'rgb(255, 255, 255)'"
        )
        shades.append(sum(map(int, re.findall(r"\d+", colour)[:3])) / 3)
        context.close()
    assert shades[0] > 200
    assert shades[1] < 60


def test_whole_way_by_keys_alone(page: Page, running: Stage) -> None:
    """From the first tab stop to the download, with the focus always to be seen."""
    page.on("filechooser", lambda _: None)  # or the browser hears too late that it is asked for
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    reach(page, "pick-files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(paths(running))
    reach(page, "policy-default")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Every module")).to_be_checked()
    reach(page, "submit")
    page.keyboard.press("Enter")
    ended(page)
    reach(page, "Download the adapter (.zip)")
    with page.expect_download():
        page.keyboard.press("Enter")


def reach(page: Page, wanted: str) -> None:
    """The element of this id or text, by the tab key; each stop shows that it has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        at, outline = page.evaluate(
            "(() => { const e = document.activeElement; const shown = [e, e.nextElementSibling]"
            ".filter(Boolean).map(x => getComputedStyle(x).outlineStyle);"
            " return [[e.id, e.textContent.trim()], shown]; })()"
        )
        assert any(style != "none" for style in outline), f"no focus is seen at {at}"
        if wanted in at:
            return
    raise AssertionError(f"{wanted} is not reached by keys")


def test_job_page_can_be_printed(page: Page, jobs: dict[str, str]) -> None:
    """The report in full, without what only a screen can do."""
    page.goto(f"/jobs/{jobs['job']}")
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Apply")).to_be_hidden()
    expect(page.locator("#report tr[data-i]").last).to_be_visible()


def test_report_opens_without_the_gate(
    browser: Browser, running: Stage, jobs: dict[str, str]
) -> None:
    """As a file that came by mail: nothing is fetched, and without scripts it says the same."""
    with running.client() as client:
        report = client.get(REPORT.format(**jobs)).text
    asked: list[str] = []
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(report)
    expect(page.locator("tr[data-i]").last).to_be_visible()
    assert asked == []
    context.close()


def test_modules_are_sorted_by_any_column(page: Page, jobs: dict[str, str]) -> None:
    """By a click, and the other way round by another; on the job's page and in the report."""
    for path in ("/jobs/{job}", REPORT):
        page.goto(path.format(**jobs))
        header = page.locator("table.modules th", has_text="cosine")
        for kind, turned in (("ascending", False), ("descending", True)):
            header.get_by_role("button").click()
            expect(header).to_have_attribute("aria-sort", kind)
            cells = page.locator("table.modules tbody tr td:nth-child(4)").all_inner_texts()
            cosines = [float(text) for text in cells]
            assert cosines == sorted(cosines, reverse=turned)


def test_heat_map_shows_what_is_asked_for(page: Page, jobs: dict[str, str]) -> None:
    """By the radio buttons, and without a script."""
    page.goto(REPORT.format(**jobs))
    cell = page.locator('.heat td[data-i="0"]')
    shown = []
    for measure in ("cosine", "retained", "signed score", "update ratio"):
        page.get_by_role("radio", name=measure).check()
        shown.append(cell.inner_text())
    assert len(set(shown)) == 4
