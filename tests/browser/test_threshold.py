"""Another threshold tried on a job's page, applied, and compared with what was."""

import re
from datetime import timedelta
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from core.keys import Keys
from core.scopes import JOBS
from core.store.local import LocalStore
from tests.browser.stage import Stage, sign_in
from tests.browser.test_a_job import ended
from tests.browser.watching import Watched, barriers

ROWS: Final = "#report tr[data-i]"


def projected(page: Page) -> int:
    return page.locator(f"{ROWS}.projected").count()


def foretold(page: Page) -> int:
    """How many the page says would be projected."""
    told = page.locator("#tau-result")
    expect(told).to_contain_text(re.compile(r"→ \d+ of 28"))
    return int(re.findall(r"→ (\d+) of", told.inner_text())[0])


def shown(page: Page) -> str:
    """The whole report as it stands."""
    return page.locator("#report").inner_html().replace(' class=""', "")


def test_slider_tells_what_a_run_then_does(page: Page, running: Stage) -> None:
    """Counts and marks at once; applied, the new job's report has just those."""
    job = running.job()
    page.goto(f"/jobs/{job}")
    before = projected(page)
    assert page.get_by_role("button", name="Apply").is_disabled()
    page.get_by_label("τ", exact=True).fill("0.4")
    count = foretold(page)
    assert before < count < 28
    assert projected(page) == count
    marked = page.locator(f"{ROWS}.projected").evaluate_all("rows => rows.map(r => r.dataset.i)")
    left = re.findall(r"([\d.]+)% of the norm", page.locator("#tau-result").inner_text())
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(lambda url: job not in url)
    ended(page)
    rows = page.locator(f"{ROWS}.projected")
    assert rows.evaluate_all("rows => rows.map(r => r.dataset.i)") == marked
    expect(page.get_by_role("region", name="Outcome")).to_contain_text(f"{left[0]}%")
    with running.gate() as gate:
        new = gate.job(page.url.rpartition("/")[2])
    assert new.source == f"job:{job}"


def test_reset_puts_everything_back(page: Page, running: Stage) -> None:
    """As the job chose."""
    page.goto(f"/jobs/{running.job()}")
    before = shown(page)
    page.get_by_label("τ as a number").fill("0.9")
    assert foretold(page) == 28
    assert shown(page) != before
    page.get_by_role("button", name="Reset").click()
    assert shown(page) == before
    assert page.get_by_role("button", name="Apply").is_disabled()


@pytest.mark.parametrize("typed", ["0.342", "0.3456789"])
def test_what_is_typed_is_what_is_applied(page: Page, running: Stage, typed: str) -> None:
    """To its last digit, by the policy and in the label of the new job; what is told on the way is
    told of it too."""
    job = running.job(metadata={"label": f"typed {typed}", "team": "a"})
    page.goto(f"/jobs/{job}")
    page.get_by_label("τ as a number").fill(typed)
    foretold(page)
    expect(page.get_by_text(f"Marks are as τ {typed} would choose")).to_have_count(2)
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(lambda url: job not in url)
    ended(page)
    with running.gate() as gate:
        new = gate.job(page.url.rpartition("/")[2])
    assert new.policy["selection"]["threshold"] == float(typed)
    assert new.metadata == {"label": f"typed {typed}, τ {typed}", "team": "a"}


@pytest.mark.parametrize("typed", ["5", "-1", "", "1e"])
def test_what_is_no_threshold_is_not_asked(page: Page, running: Stage, typed: str) -> None:
    """The answer before it is dropped, so that Apply does nothing else than what stands there."""
    page.goto(f"/jobs/{running.job()}")
    before = shown(page)
    number = page.get_by_label("τ as a number")
    number.fill("0.9")
    assert foretold(page) == 28
    number.press("Control+a")
    number.press("Delete")
    number.press_sequentially(typed)
    expect(page.get_by_role("alert").filter(has_text="τ is from 0 to 1.")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    expect(page.locator("#tau-result")).to_be_empty()
    assert shown(page) == before
    assert barriers(page) == []
    number.fill("0.9")
    assert foretold(page) == 28
    expect(page.get_by_role("alert").filter(has_text="τ is")).to_be_hidden()


def test_job_without_a_threshold_can_be_applied_as_it_stands(page: Page, running: Stage) -> None:
    """The τ that is filled in needs no touch; the report is the job's until there is one."""
    job = running.job(policy={"selection": {"mode": "none"}})
    page.goto(f"/jobs/{job}")
    expect(page.get_by_text("This job used no threshold.")).to_be_visible()
    count = foretold(page)
    assert projected(page) == 0
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(lambda url: job not in url)
    ended(page)
    assert projected(page) == count


def test_slider_goes_by_keys(page: Page, running: Stage) -> None:
    """And what it does is heard."""
    page.goto(f"/jobs/{running.job()}")
    slider = page.get_by_label("τ", exact=True)
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert foretold(page) > 14
    expect(slider).to_have_value("0.45")
    expect(page.locator("#tau-result")).to_have_attribute("aria-live", "polite")


def test_below_the_floor_is_shown_and_not_applied(
    browser: Browser, running: Stage, watched: Watched
) -> None:
    """By a key that may not; what it may is said."""
    job = running.job()
    new = Keys(LocalStore(running.data / "store")).create("default", [JOBS], timedelta(days=1))
    page = browser.new_context(base_url=running.url).new_page()
    watched.watch(page)
    sign_in(page, running, new.text)
    page.goto(f"/jobs/{job}")
    page.get_by_label("τ as a number").fill("0.1")
    assert foretold(page) == 0
    expect(page.get_by_text("Weaker than the floor")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    assert barriers(page) == []
    page.get_by_label("τ as a number").fill("0.5")
    expect(page.get_by_text("Weaker than the floor")).to_be_hidden()
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    assert watched.unexpected() == []


def test_two_runs_are_compared(page: Page, running: Stage) -> None:
    """What was asked for otherwise, and which modules came out otherwise."""
    first = running.job()
    second = running.job(policy={"selection": {"threshold": 0.4}}, metadata={"label": "at 0.4"})
    page.goto(f"/jobs/{first}")
    page.get_by_role("link", name="Compare with another run").click()
    page.get_by_label("Compare with").select_option(value=second)
    page.get_by_role("button", name="Compare").click()
    settings = page.get_by_role("region", name="Settings that differ")
    expect(settings).to_contain_text("threshold")
    expect(settings).to_contain_text("0.4")
    rows = page.get_by_role("region", name="Modules of both runs").locator("tbody tr")
    assert rows.filter(visible=True).count() == 28
    page.get_by_label("Only what differs").check()
    differing = rows.filter(visible=True)
    assert 0 < differing.count() < 28
    for row in differing.all():
        cells = row.locator("td").all_inner_texts()
        assert {"kept", "projected"} <= set(cells)
    assert barriers(page) == []
