"""What keeps a tree from being released, in repositories made for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.report import ENGINE_VERSION
from release import tree
from release.__main__ import OF_THE_TREE
from tests.test_imports import ROOT

PROJECT = '[project]\nname = "x"\nversion = "{}"\nlicense = "Apache-2.0"\n'
COMPLETING = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('as it is')"


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=x", "-c", "user.email=x@example")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One that lacks nothing."""
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(ENGINE_VERSION))
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {ENGINE_VERSION} (2026-12-01)\n")
    (tmp_path / "LICENSE").write_text("Apache License")
    (tmp_path / "Makefile").write_text(
        "docs:\n\tpython -m platform > docs/platform.md\n\tpython -m completing docs/table.md\n"
    )
    (tmp_path / "completing.py").write_text(COMPLETING)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "table.md").write_text("as it is")
    done = subprocess.run([sys.executable, "-m", "platform"], capture_output=True, check=True)
    (tmp_path / "docs" / "platform.md").write_bytes(done.stdout)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    return tmp_path


def faults(root: Path) -> list[str]:
    return [name for name, check in OF_THE_TREE.items() if list(check(root))]


def test_a_tree_that_lacks_nothing_has_no_fault(root: Path) -> None:
    """Each check passes where it should."""
    assert faults(root) == []


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("new.py", "", {"the tree is clean"}),
        ("CHANGELOG.md", "## 0.0.1 (2020-01-01)\n", {"CHANGELOG.md has its section"}),
        ("CHANGELOG.md", f"## {ENGINE_VERSION} (unreleased)\n", {"CHANGELOG.md has its section"}),
        ("docs/platform.md", "as it was", {"generated pages are up to date"}),
        ("docs/table.md", "as it was", {"generated pages are up to date"}),
        ("LICENSE", "", {"there is a licence"}),
        ("weights.bin", "x" * (2**20 + 1), {"no large files"}),
        ("picture.png", "x" * (2**20 + 1), set()),
    ],
)
def test_each_fault_is_named(root: Path, file: str, content: str, named: set[str]) -> None:
    """By the check that is there for it, and by no other."""
    (root / file).write_text(content)
    git(root, "add", ".")
    assert set(faults(root)) == named | {"the tree is clean"}


def test_another_version_is_named(root: Path) -> None:
    """Of the package, where that is not what results are named by."""
    (root / "pyproject.toml").write_text(PROJECT.format("9.9.9"))
    assert "one version" in faults(root)


def test_the_version_is_one() -> None:
    """What results are named by is what is released."""
    assert list(tree.versions_differ(ROOT)) == []


def test_every_page_that_make_docs_writes_is_held_to_it() -> None:
    """The pages are read out of the Makefile."""
    names = {page.name for _, _, page in tree.generated(ROOT)}
    assert {"findings.md", "settings.md", "report.schema.json", "observing.md"} <= names
