"""From an adapter on somebody's computer to the sanitized one, and what can be seen on the way."""

import json
import re
import zipfile
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stage import ALIGNMENT, Stage, new_context
from tests.browser.watching import Watched, barriers

FILES: Final = ("adapter_model.safetensors", "adapter_config.json")


def job_id(page: Page) -> str:
    return page.url.rpartition("/")[2]


def paths(running: Stage) -> list[Path]:
    return [running.adapter / name for name in FILES]


def ended(page: Page) -> None:
    """The job's page has come to show what came of it, by itself."""
    page.wait_for_url(re.compile(r"/jobs/[a-z0-9]{26}$"))
    expect(page.get_by_role("region", name="Outcome")).to_be_visible(timeout=60_000)


def test_upload_is_followed_and_brought_back(page: Page, running: Stage, tmp_path: Path) -> None:
    """Chosen, sent, followed to its end without a reload by hand, and downloaded: what is in the
    archive is what the API has."""
    page.goto("/")
    page.get_by_label("Choose files").set_input_files(paths(running))
    page.get_by_label("Label").fill("from the browser")
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    expect(page.get_by_role("heading", name="from the browser")).to_be_visible()
    expect(page.get_by_text("of 28 modules were projected").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the adapter").click()
    archive = tmp_path / "adapter.zip"
    download.value.save_as(archive)
    with running.client() as client, zipfile.ZipFile(archive) as packed:
        for name in FILES:
            served = client.get(f"/v1/jobs/{job_id(page)}/adapter/{name}", follow_redirects=True)
            assert packed.read(name) == served.content
    assert barriers(page) == []


def test_folder_and_archive_are_taken_too(page: Page, running: Stage, tmp_path: Path) -> None:
    """As a browser hands a folder over, with what else lies in it named; and as one file."""
    page.goto("/")
    page.get_by_label("Choose a folder").set_input_files(running.adapter)
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    archive = tmp_path / "adapter.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in paths(running):
            packed.write(path, path.name)
    page.goto("/")
    page.get_by_label("Choose files").set_input_files(archive)
    page.get_by_role("button", name="Sanitize").click()
    ended(page)


def test_stages_are_shown_as_they_come(page: Page, running: Stage) -> None:
    """What the gate tells of a job that takes its time is on the page at once, and so is its end,
    without a reload by hand; who cannot see hears of it."""
    with running.no_worker():
        with running.gate() as gate:
            job = gate.submit(running.adapter, alignment=ALIGNMENT, policy={"method": "zero"})
        page.goto(f"/jobs/{job.id}")
        status = page.get_by_role("status")
        expect(page.get_by_text("waits for a worker").first).to_be_visible()
        running.tell(job.id, "score", 0, 28)
        expect(status).to_contain_text("score")
        running.tell(job.id, "score", 9, 28)
        expect(page.get_by_text("score: 9 of 28 modules").first).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_js_property("value", 9)
        step = page.get_by_role("listitem").filter(has_text="score")
        expect(step).to_have_attribute("aria-current", "step")
        assert barriers(page) == []
    ended(page)
    expect(page.get_by_role("region", name="Outcome")).to_be_focused()


def test_job_that_waits_can_be_cancelled_and_tried_again(page: Page, running: Stage) -> None:
    """Both from its page."""
    with running.no_worker():
        with running.gate() as gate:
            job = gate.submit(running.adapter, alignment=ALIGNMENT, policy={"strength": 0.9})
        page.goto(f"/jobs/{job.id}")
        page.get_by_role("button", name="Cancel the job").click()
        expect(page.get_by_text("The job was cancelled")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda url: job.id not in url)
    ended(page)


def test_rejected_adapter_says_what_to_do(page: Page, running: Stage, tmp_path: Path) -> None:
    """Each finding with its place and what is to be done, and no adapter."""
    config = json.loads(paths(running)[1].read_bytes())
    wrong = tmp_path / "adapter_config.json"
    wrong.write_text(json.dumps({**config, "modules_to_save": ["<b>lm_head</b>"]}))
    page.goto("/")
    page.get_by_label("Choose files").set_input_files([paths(running)[0], wrong])
    page.get_by_label("Alignment", exact=True).first.select_option(ALIGNMENT)
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    expect(page.get_by_text("The adapter is rejected").first).to_be_visible()
    expect(page.get_by_text("modules_to_save").first).to_be_visible()
    expect(page.get_by_role("link", name="Download the adapter")).to_have_count(0)
    assert page.locator("main b", has_text="lm_head").count() == 0
    assert barriers(page) == []


def test_what_the_gate_refuses_is_said_on_the_form(
    page: Page, running: Stage, watched: Watched
) -> None:
    """Where it was asked for; what was filled in stays."""
    watched.expect("422")
    page.goto("/")
    page.get_by_label("Choose files").set_input_files(paths(running))
    page.get_by_label("Label").fill("kept")
    page.get_by_label("As JSON").check()
    page.get_by_label("The whole policy").fill('{"selection": {"threshold": 2}}')
    page.get_by_role("button", name="Sanitize").click()
    expect(page.get_by_role("alert").filter(has_text="policy_invalid")).to_be_visible()
    expect(page.get_by_label("Label")).to_have_value("kept")
    assert barriers(page) == []


def test_uri_is_taken_in_place_of_files(page: Page, running: Stage) -> None:
    """The input of an earlier job here, which needs no bucket."""
    earlier = running.job()
    page.goto("/")
    page.get_by_label("From a URI").check()
    page.get_by_label("URI", exact=True).fill(f"job:{earlier}")
    page.get_by_label("Every module").check()
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    expect(page.get_by_text("28 of 28 modules were projected").first).to_be_visible()


@pytest.mark.parametrize("words", ["no such job", "404"])
def test_page_of_no_job_says_so(page: Page, watched: Watched, words: str) -> None:
    """As a page, with its status."""
    watched.expect("404")
    answer = page.goto("/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("main")).to_contain_text(words)
    assert barriers(page) == []


def test_gate_that_cannot_be_reached_is_said_and_taken_back(
    page: Page, running: Stage, watched: Watched
) -> None:
    """On a job that is watched, by the browser's own tries; and beside the list."""
    watched.expect("ERR_")
    said = page.get_by_text("The gate cannot be reached: trying again.")
    with running.no_worker():
        with running.gate() as gate:
            job = gate.submit(running.adapter, alignment=ALIGNMENT, policy={"strength": 0.8})
        for path in (f"/jobs/{job.id}", "/"):
            page.goto(path)
            page.context.set_offline(True)
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            expect(said).to_be_visible(timeout=20_000)
            page.context.set_offline(False)
            expect(said).to_be_hidden(timeout=20_000)


def test_session_that_is_over_is_said_on_the_form(
    browser: Browser, running: Stage, watched: Watched
) -> None:
    """With the way back in, in another tab: what is filled in stays, and is then taken."""
    watched.expect("401")
    context = new_context(browser, running)
    page = context.new_page()
    watched.watch(page)
    page.goto("/")
    page.get_by_label("Choose files").set_input_files(paths(running))
    page.get_by_label("Label").fill("kept")
    context.clear_cookies()
    page.get_by_role("button", name="Sanitize").click()
    expect(page.locator("#new-job-error")).to_contain_text("You are signed out.")
    with context.expect_page() as opened:
        page.locator("#new-job-error").get_by_role("link", name="Sign in again").click()
    opened.value.get_by_label("Key").fill(running.key)
    opened.value.keyboard.press("Enter")
    opened.value.wait_for_url(f"{running.url}/")
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    expect(page.get_by_role("heading", name="kept")).to_be_visible()
    context.close()
    assert watched.unexpected() == []
