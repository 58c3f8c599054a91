"""Each parser behind one face: bytes in, accepted or rejected out."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from fuzz.guard import Target

# Target → its share of the inputs. What takes longer for each gets fewer.
SHARES = {"upload": 0.25, "archive": 0.25, "config": 0.2, "header": 0.2, "names": 0.1}


@dataclass(frozen=True)
class Place:
    """Where a target works: a folder of its own, and the pair (`base`, `aligned`) it judges by."""

    scratch: Path
    pair: Path


def make_target(name: str, place: Place) -> Target:
    """The target of that name; only its own parsers are imported."""
    return cast("Target", import_module(f"fuzz.targets.{name}").make(place))
