"""Prints what pyproject.toml asks for, so that packages have a layer that the code does not change.

Usage: requirements.py PYPROJECT [EXTRA…]
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    project = tomllib.loads(pyproject.read_text())["project"]
    asked: list[str] = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    return asked


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])) + "\n")
