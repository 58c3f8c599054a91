"""`python -m release`: a line for each thing looked at; exit code 1 if any is wrong."""

import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from core.exit_codes import DONE, FAILED
from release import packages, tree

ROOT = Path(__file__).parent.parent
OF_THE_TREE: dict[str, Callable[[Path], Iterable[str]]] = {
    "the tree is clean": tree.not_clean,
    "one version": tree.versions_differ,
    "CHANGELOG.md has its section": tree.changelog_lacks,
    "generated pages are up to date": tree.outdated_pages,
    "there is a licence": tree.licence_lacks,
    "no large files": tree.large_files,
}


def main() -> int:
    sound = [_told(name, partial(check, ROOT)) for name, check in OF_THE_TREE.items()]
    with tempfile.TemporaryDirectory(prefix="safelora-release-") as made:
        folder = Path(made).resolve()
        for package in packages.build(ROOT, folder):
            name = f"{package.name} installs and runs"
            place = folder / package.name.removesuffix(".gz").replace(".", "-")
            sound.append(_told(name, partial(packages.faults, ROOT, package, place)))
    return DONE if all(sound) else FAILED


def _told(name: str, check: Callable[[], Iterable[str]]) -> bool:
    wrong = list(check())
    sys.stdout.write(f"{'failed' if wrong else 'ok':<8} {name}\n")
    for line in wrong:
        sys.stdout.write(f"{'':<8} {line}\n")
    sys.stdout.flush()
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
