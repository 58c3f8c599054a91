"""What a worker on this machine would have: asked of the worker itself, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from app.doctor.check import Check, failed, gib, ok, warning
from core.settings import Settings

_PATIENCE_SECONDS = 120


def machine_checks(settings: Settings) -> Iterator[Check]:
    name = "worker here"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "worker", "doctor"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield failed(name, f"does not start in {_PATIENCE_SECONDS} s", "see the machine's load")
        return
    lines = done.stderr.strip().splitlines()
    if done.returncode == 0:
        yield from machine_says(json.loads(done.stdout), settings)
    elif lines and lines[-1].startswith("ModuleNotFoundError"):
        yield warning(name, f"none can run here: {lines[-1]}", "nothing, unless one is to")
    else:
        found = lines[-1] if lines else f"ended with code {done.returncode}"
        yield failed(name, found, "run `python -m worker doctor` and see what it says")


def machine_says(facts: dict[str, Any], settings: Settings) -> Iterator[Check]:
    """`facts`: what `python -m worker doctor` printed."""
    device = facts["device"]
    more = facts["gpu"] or f"{facts['threads']} threads"
    yield ok("worker here", f"torch {facts['torch']} on {device}, {more}")
    if device == "cpu":
        yield _products(facts)
    total, free = facts["memory_total"], facts["memory_free"]
    if total is None:
        return
    found = f"{gib(free)} of {gib(total)} free"
    wanted = settings.alignments.ram_bytes
    if wanted > 0.9 * total:
        do = "lower SAFELORA_ALIGNMENTS__RAM_BYTES"
        yield warning("worker's memory", f"{found}; {gib(wanted)} are for alignments", do)
    else:
        yield ok("worker's memory", found)


def _products(facts: dict[str, Any]) -> Check:
    name, found = "worker's products", facts["products"]
    if facts["compiled"]:
        return ok(name, found)
    do = "jobs take longer so: see that the processor has AVX-512, and install with a C compiler"
    return warning(name, found, do)
