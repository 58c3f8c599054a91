"""Changes that know the format, so that what comes out gets past the first check.

A mutator takes a random generator and an input, of the corpus or its own, and gives another.
"""

from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import cast

Mutator = Callable[[Random, bytes], bytes]


def mutator(target: str) -> Mutator:
    return cast("Mutator", import_module(f"fuzz.mutate.{target}").mutate)
