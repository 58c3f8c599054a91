"""What may be chosen as an adapter, and what is said of what may not."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stage import ALIGNMENT, Stage
from tests.browser.test_a_job import FILES, ended, paths
from tests.browser.watching import barriers


def run_folder(running: Stage, folder: Path, *parts: str) -> Path:
    """A training run with the adapter in each of these folders."""
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
        for path in paths(running):
            shutil.copy(path, folder / part / path.name)
    return folder


def refused(page: Page, words: str) -> None:
    """Said where it was chosen, and still after Sanitize."""
    alert = page.locator("#new-job-error")
    expect(alert).to_contain_text(words)
    page.get_by_role("button", name="Sanitize").click()
    expect(alert).to_contain_text(words)


def test_top_of_a_run_is_taken_and_its_checkpoints_are_named(
    page: Page, running: Stage, tmp_path: Path
) -> None:
    """The job is called as the folder is, unless something is typed."""
    folder = run_folder(running, tmp_path / "my-run", ".", "checkpoint-10", "checkpoint-20")
    page.goto("/")
    page.get_by_label("Choose a folder").set_input_files(folder)
    chosen = page.locator("#chosen")
    for name in FILES:
        expect(chosen).to_contain_text(f"my-run/{name}")
    expect(chosen).to_contain_text("not sent: my-run/checkpoint-")
    page.get_by_role("button", name="Sanitize").click()
    ended(page)
    expect(page.get_by_role("heading", name="my-run", exact=False).first).to_be_visible()


def test_checkpoints_alone_are_named_to_choose_from(
    page: Page, running: Stage, tmp_path: Path
) -> None:
    """None of them is taken for the others."""
    folder = run_folder(running, tmp_path / "my-run", "checkpoint-10", "checkpoint-20")
    page.goto("/")
    page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.locator("#new-job-error")).to_contain_text("my-run/checkpoint-20")
    refused(page, "choose one of my-run/checkpoint-")
    assert barriers(page) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("adapter_model.bin", b"x", "adapter_model.bin (a pickle) is not taken"),
        ("adapter_model.safetensors", b"", "adapter_model.safetensors is empty"),
        ("notes.txt", b"x", "There is no adapter_model.safetensors"),
    ],
)
def test_what_is_no_adapter_is_told_why(
    page: Page, running: Stage, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """Before anything is sent."""
    (tmp_path / name).write_bytes(content)
    page.goto("/")
    page.get_by_label("Choose files").set_input_files([paths(running)[1], tmp_path / name])
    refused(page, words)


def test_threshold_below_the_floor_is_said_beforehand(page: Page) -> None:
    """Of the alignment that is chosen; and no longer, once it is not."""
    page.goto("/")
    page.get_by_label("Alignment", exact=True).first.select_option(ALIGNMENT)
    page.get_by_label("Modules below a threshold").check()
    page.get_by_label("τ", exact=True).fill("0.2")
    expect(page.get_by_text(f"Weaker than the floor of {ALIGNMENT} (τ 0.35)")).to_be_visible()
    assert barriers(page) == []
    page.get_by_label("τ", exact=True).fill("0.35")
    expect(page.get_by_text("Weaker than the floor")).to_be_hidden()
