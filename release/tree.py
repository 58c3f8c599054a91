"""What can be told of the working tree alone. Each check says what is wrong with it."""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.report import ENGINE_VERSION

LARGEST = 2**20
PICTURES = {".png", ".svg"}


def project(root: Path) -> dict[str, Any]:
    """What pyproject.toml says of the package."""
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return found


def not_clean(root: Path) -> Iterator[str]:
    for line in _git(root, "status", "--porcelain").splitlines():
        yield f"not committed: {line[3:]}"


def versions_differ(root: Path) -> Iterator[str]:
    """The package's version is part of every result's identity."""
    if (version := project(root)["version"]) != ENGINE_VERSION:
        yield f"pyproject.toml says {version}, core/report.py {ENGINE_VERSION}"


def changelog_lacks(root: Path) -> Iterator[str]:
    """A section of the version, with the day of its release."""
    version = project(root)["version"]
    text = (root / "CHANGELOG.md").read_text()
    title = re.search(rf"^## {re.escape(version)}(.*)$", text, re.M)
    if title is None:
        yield f"CHANGELOG.md has no section ## {version}"
    elif not re.fullmatch(r" \(\d{4}-\d\d-\d\d\)", title[1]):
        yield f"CHANGELOG.md: ## {version}{title[1]}: write the day of the release in the brackets"


def generated(root: Path) -> Iterator[tuple[str, bool, Path]]:
    """As `make docs` has it: the module that writes each page, and whether it completes what is
    there."""
    commands = (root / "Makefile").read_text()
    for module, whole, page in re.findall(r"python -m (\S+) (> )?(docs/\S+)", commands):
        yield module, not whole, root / page


def outdated_pages(root: Path) -> Iterator[str]:
    for module, completes, page in generated(root):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copy(page, folder))
            command = [sys.executable, "-m", module, *([str(copy)] if completes else [])]
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
            written = copy.read_text() if completes else done.stdout
        if written != page.read_text():
            yield f"{page.relative_to(root)} is not what the code says: make docs"


def licence_lacks(root: Path) -> Iterator[str]:
    if "Apache License" not in _text(root / "LICENSE"):
        yield "LICENSE is not there"
    if project(root).get("license") != "Apache-2.0":
        yield "pyproject.toml does not name the licence"


def large_files(root: Path) -> Iterator[str]:
    """But for pictures."""
    for name in _git(root, "ls-files", "-z").split("\0"):
        path = root / name
        if not path.is_file() or path.suffix in PICTURES:
            continue
        if (size := path.stat().st_size) > LARGEST:
            yield f"{name} has {size / 2**20:.1f} MiB: it stays in every clone"


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout
