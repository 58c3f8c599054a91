"""How long checking an adapter takes next to reading and hashing it, and in how much memory.

`python -m benchmarks.check [--gigabytes 1]`. All three are timed in one run, in turn, in a process
of its own; what counts are the ratios.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.alignments import Manifest, ModuleEntry
from core.policy import Policy
from worker.adapter import AdapterFiles, examine
from worker.alignment.source import StoredAlignment
from worker.safetensors_file import write_safetensors

SIZE = 4096
FAMILIES = [
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
]
MODULES = [f"model.layers.{layer}.{family}" for layer in range(32) for family in FAMILIES]
ROUNDS = 3
CHUNK = 2**20


class NoModules:
    """Checking asks an alignment for names and shapes only."""

    def load(self, entry: ModuleEntry) -> None:
        raise AssertionError(f"{entry.name} was loaded to check an adapter")


def make_adapter(folder: Path, gigabytes: float) -> None:
    """bfloat16 factors of 224 modules of 4096 × 4096, as large a rank as fits."""
    rank = max(1, round(gigabytes * 2**30 / (len(MODULES) * 2 * SIZE * 2)))
    random = torch.Generator().manual_seed(0)
    values = torch.randn(rank, SIZE, generator=random).mul_(0.01).bfloat16()
    tensors = {}
    for path in MODULES:
        tensors[f"base_model.model.{path}.lora_A.weight"] = values
        tensors[f"base_model.model.{path}.lora_B.weight"] = values.T
    write_safetensors(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def made_up_alignment() -> StoredAlignment:
    entries = [
        ModuleEntry.model_validate(
            {
                "name": name, "out": SIZE, "in": SIZE, "dtype": "BF16", "norm": 1.0,
                "aligned_norm": 1.0, "sigma": [1.0], "baseline": 0.7, "baseline_error": 0.0,
                "spectrum_error": 0.0, "storage_loss": 0.0, "conv1d": False,
                "shard": "", "spectrum_shard": "",
            }
        )
        for name in MODULES
    ]  # fmt: skip
    manifest = Manifest(
        id="made-up", model_type="llama", rank=1, modules=entries, left_out={}, weights={}
    )
    return StoredAlignment(manifest, NoModules(), name=None)  # type: ignore[arg-type]


def measure(folder: Path) -> None:
    """Prints seconds of each, best of several rounds, and the memory that checking added."""
    files, alignment = AdapterFiles(folder), made_up_alignment()
    policy = Policy.model_validate({"caps": {"rank": 4096}})
    before = peak_memory()
    examine(files, alignment, policy, ())
    memory = peak_memory() - before
    work: dict[str, Callable[[], object]] = {
        "read": lambda: read(files.model),
        "hash": lambda: hash_file(files.model),
        "check": lambda: examine(files, alignment, policy, ()),
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    slower = max(best["read"], best["hash"])
    print(f"adapter: {files.model.stat().st_size / 1e9:.2f} GB, {2 * len(MODULES)} tensors")
    print(" ".join(f"{name}={seconds:.3f}s" for name, seconds in best.items()))
    print(f"check / max(read, hash) = {best['check'] / slower:.2f}")
    print(f"memory above the imports = {memory / 2**20:.1f} MiB")


def read(path: Path) -> None:
    buffer = bytearray(CHUNK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak_memory() -> int:
    """The most this process has ever held, in bytes (VmHWM: pages of mapped files count too)."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_adapter(Path(folder), arguments.gigabytes)
        command = [sys.executable, "-m", "benchmarks.check", "--measure", folder]
        subprocess.run(command, check=True)  # noqa: S603  (ourselves)


if __name__ == "__main__":
    main()
