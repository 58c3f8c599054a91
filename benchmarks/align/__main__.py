"""How long building an alignment takes next to reading, hashing and writing its bytes.

`make bench-align`, or `python -m benchmarks.align [--layers 10] [--rounds 3]`. All are timed in one
run on one disk, in turn, with cold files; what counts are the ratios. Then the same pair is built
from S3, and what the server sends is counted. Takes some minutes and 25 GB of disk.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.align.measure import (
    forget,
    hash_seconds,
    needed,
    read_seconds,
    size,
    write_seconds,
)
from benchmarks.align.pair import make_pair
from benchmarks.align.remote import download
from core.alignments import DEFAULT_RANK
from worker.alignment.build import build_alignment
from worker.alignment.pair import Pair

ROUNDS = 3
FACTOR = 1.5  # of the slower of reading and hashing: what is allowed, and the writing


def build(base: Path, aligned: Path, target: Path) -> None:
    """In a process of its own: prints what it took."""
    clear_peak()
    before = memory("VmRSS")
    start = time.perf_counter()
    with Pair(base, aligned) as pair:
        manifest = build_alignment(
            pair, target, dtype="auto", rank=DEFAULT_RANK, step=lambda *_: None
        )
    seconds = time.perf_counter() - start
    figures = {"seconds": seconds, "memory": memory("VmHWM") - before, "id": manifest.id}
    print(json.dumps(figures))


def clear_peak() -> None:
    """From here on VmHWM counts anew."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> int:
    """Bytes that this process holds, or has held at most."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024


def compare(folder: Path, layers: int, rounds: int) -> None:
    base, aligned = make_pair(folder / "pair", layers)
    written, built = folder / "written", folder / "built"
    with Pair(base, aligned) as pair:
        count = size(needed(pair))
        models = [sum(p.stat().st_size for p in model.iterdir()) for model in (base, aligned)]
        print(f"pair: {models[0] / 1e9:.2f} + {models[1] / 1e9:.2f} GB, {len(pair.shapes)} modules")
        print(f"needed: {count / 1e9:.2f} GB; allowed: {FACTOR} × max(read, hash) + write")
        print(f"{'read':>8}{'hash':>8}{'write':>8}{'build':>8}{'allowed':>9}{'ratio':>7}{'MB':>7}")
        for _ in range(rounds):
            for place in (written, built):
                shutil.rmtree(place, ignore_errors=True)
            forget([base, aligned])
            read = read_seconds(pair)
            hashed = hash_seconds(count)
            forget([base, aligned])
            built.mkdir()
            command = [sys.executable, "-m", "benchmarks.align", "--build", str(folder)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  (ourselves)
            figures = json.loads(output)
            sizes = [path.stat().st_size for path in built.iterdir()]
            wrote = write_seconds(written, sizes)
            allowed = FACTOR * max(read, hashed) + wrote
            seconds, peak = figures["seconds"], figures["memory"]
            print(
                f"{read:>7.1f}s{hashed:>7.1f}s{wrote:>7.1f}s{seconds:>7.1f}s{allowed:>8.1f}s"
                f"{seconds / allowed:>7.2f}{peak / 1e6:>7.0f}  {figures['id']}"
            )
    for place in (written, built):
        shutil.rmtree(place, ignore_errors=True)
    download(base, aligned, ["q_proj", "v_proj"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench-align"))
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        pair = arguments.build / "pair"
        build(pair / "base", pair / "aligned", arguments.build / "built")
        return
    compare(arguments.folder, arguments.layers, arguments.rounds)


if __name__ == "__main__":
    main()
