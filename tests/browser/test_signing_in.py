"""Into the page, and out of it."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.stage import Stage, sign_in
from tests.browser.watching import Watched, barriers


def fresh(browser: Browser, running: Stage, watched: Watched) -> Page:
    """A tab of nobody's."""
    page = browser.new_context(base_url=running.url).new_page()
    watched.watch(page)
    return page


def test_key_lets_in_and_signing_out_lets_nobody_back(
    browser: Browser, running: Stage, watched: Watched
) -> None:
    """The way back by the browser's own history included."""
    page = fresh(browser, running, watched)
    page.goto("/alignments")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert barriers(page) == []
    page.get_by_label("Key").fill(running.key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/alignments")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert watched.unexpected() == []


def test_wrong_key_is_told_so(browser: Browser, running: Stage, watched: Watched) -> None:
    """In words, on the form, which still knows where to go."""
    watched.expect("401")
    page = fresh(browser, running, watched)
    page.goto("/alignments")
    page.get_by_label("Key").fill("slg_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know this key")
    assert barriers(page) == []
    page.get_by_label("Key").fill(running.key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/alignments")
    assert watched.unexpected() == []


def test_no_script_sees_the_key(browser: Browser, running: Stage, watched: Watched) -> None:
    """Nor the cookie that stands for it."""
    page = fresh(browser, running, watched)
    sign_in(page, running)
    assert page.evaluate("document.cookie") == ""
    assert running.key not in page.content()
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])") == "[{},{}]"
    assert watched.unexpected() == []
