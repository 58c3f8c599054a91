"""Faults made on purpose, which a run must find: a fuzzer that finds nothing proves nothing."""

import json
import os
from collections.abc import Callable

from fuzz.guard import Target

TARGET = "header"
KINDS = ("crash", "hang", "memory", "death")


def planted(kind: str, target: Target) -> Target:
    """The target of headers, at fault for what it accepts if it is of a rare kind."""

    def faulty(data: bytes) -> bool:
        accepted = target(data)
        if accepted and _is_rare(data):
            _FAULTS[kind]()
        return accepted

    return faulty


def _is_rare(data: bytes) -> bool:
    """One tensor of BF16 beside one of three dimensions."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = [fields for name, fields in header.items() if name != "__metadata__"]
    return any(len(t["shape"]) == 3 for t in tensors) and any(t["dtype"] == "BF16" for t in tensors)


def _crash() -> None:
    raise ZeroDivisionError("planted")


def _hang() -> None:
    while True:
        pass


def _memory() -> None:
    bytearray(os.urandom(2**20) * 300)


def _death() -> None:
    os._exit(0)


_FAULTS: dict[str, Callable[[], None]] = {
    "crash": _crash,
    "hang": _hang,
    "memory": _memory,
    "death": _death,
}
