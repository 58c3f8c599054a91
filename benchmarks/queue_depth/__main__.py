"""Whether many waiting jobs make the API slower: a gate with a deep queue beside an empty one.

`python -m benchmarks.queue_depth [--store s3] [--samples 1000] [--queued 5000]`. Each gate is an
API and a courier of its own, over one Valkey; no worker runs. Both are asked the same in turn, in
one run; what counts are the ratios. Exits 1 if one passes what is allowed. Takes some minutes.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.queue_depth.gates import Gate, open_gate
from benchmarks.queue_depth.sampling import Samples, sample
from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer

ALLOWED = 1.5
STRAYS = 10  # samples that a courier put back while they were taken off


def compare(stack: ExitStack, folder: Path, options: argparse.Namespace) -> float:
    """Measure and print; the largest ratio."""
    valkey = stack.enter_context(ValkeyServer())
    seaweed = stack.enter_context(SeaweedServer()) if options.store == "s3" else None
    gates = {
        name: stack.enter_context(open_gate(name, store, valkey.url, folder / name))
        for name in ("empty", "deep")
        for store in [_store(seaweed, name, folder)]
    }
    empty, deep = gates["empty"], gates["deep"]
    deep.fill(options.queued)
    before = {name: gate.cpu_seconds() for name, gate in gates.items()}
    _check_depth(empty, deep, options.queued)
    samples = sample(empty, deep, options.samples)
    _check_depth(empty, deep, options.queued)
    print(f"{options.queued} jobs wait at one gate, none at the other; store: {options.store}")
    print(f"{options.samples} samples of each call at each gate, in turn; milliseconds")
    largest = _print_calls(*samples)
    for name, gate in gates.items():
        used = {part: now - before[name][part] for part, now in gate.cpu_seconds().items()}
        print(f"{name}: CPU s", ", ".join(f"{part} {value:.1f}" for part, value in used.items()))
    return largest


def _store(seaweed: SeaweedServer | None, name: str, folder: Path) -> StoreSettings:
    if seaweed is None:
        return StoreSettings(path=folder / name / "store")
    return StoreSettings(kind="s3", s3=seaweed.settings(prefix=name))


def _print_calls(empty: Samples, deep: Samples) -> float:
    print(f"{'':14}{'empty':>10}{'deep':>10}{'ratio':>8}")
    ratios = []
    for call in empty.seconds:
        figures = zip(("median", "p95"), empty.figures(call), deep.figures(call), strict=True)
        for name, of_empty, of_deep in figures:
            ratios.append(of_deep / of_empty)
            print(f"{call:6}{name:8}{of_empty * 1e3:10.2f}{of_deep * 1e3:10.2f}{ratios[-1]:8.3f}")
    return max(ratios)


def _check_depth(empty: Gate, deep: Gate, queued: int) -> None:
    """Raises `SystemExit` if what was measured is not what it is called."""
    depths = empty.waiting(), deep.waiting()
    if depths[0] > STRAYS or not queued <= depths[1] <= queued + STRAYS:
        raise SystemExit(f"{depths[0]} and {depths[1]} jobs wait: 0 and {queued} were to")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["local", "s3"], default="local")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--queued", type=int, default=5000)
    parser.add_argument("--allowed", type=float, default=ALLOWED)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        largest = compare(stack, Path(folder), options)
    passed = largest <= options.allowed
    verdict = "passed" if passed else "NOT passed"
    print(f"largest ratio {largest:.3f}, allowed {options.allowed}: {verdict}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
