"""Pages as people see them, on the real service; each test fails on any error in the console."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.stage import Stage, chromium, new_context, stage
from tests.browser.watching import Watched

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Chromium is not there everywhere: `make browser` runs them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def signed_in(browser: Browser, running: Stage) -> Iterator[BrowserContext]:
    context = new_context(browser, running)
    yield context
    context.close()


@pytest.fixture
def watched() -> Watched:
    """What may be in the console all the same, a test says by `watched.expect`."""
    return Watched()


@pytest.fixture
def page(signed_in: BrowserContext, watched: Watched) -> Iterator[Page]:
    """A tab of somebody who is signed in."""
    tab = signed_in.new_page()
    watched.watch(tab)
    yield tab
    tab.goto("about:blank")  # closed while it loads a page by itself, it may never be
    tab.close()
    assert watched.unexpected() == []
