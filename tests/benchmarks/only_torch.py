"""`python -m tests.benchmarks.only_torch …`: the GPU benchmark where little is installed.

As on a machine that has this checkout, torch and what torch needs, numpy and safetensors, and
nothing else that could be imported.
"""

import re
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from types import ModuleType

OURS = {"benchmarks", "tests", "worker"}
THERE = ("torch", "numpy", "safetensors")


class NothingElse(MetaPathFinder):
    """Finds what lies on the path, but for what belongs to other packages."""

    def __init__(self) -> None:
        self.owners = packages_distributions()
        self.there: set[str] = set()
        for name in THERE:
            self._add(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        owners = {_plain(owner) for owner in self.owners.get(top, [])}
        if top not in OURS and owners and not owners & self.there:
            return None
        return PathFinder.find_spec(name, path, target)

    def _add(self, name: str) -> None:
        """And all that it needs."""
        if name in self.there:
            return
        self.there.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # another system's
            return
        for line in needed:
            if "extra ==" not in line:
                self._add(_plain(re.split(r"[^A-Za-z0-9._-]", line)[0]))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


if __name__ == "__main__":
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, NothingElse()]
    sys.argv[0] = "benchmarks.gpu"
    runpy.run_module("benchmarks.gpu", run_name="__main__", alter_sys=True)
