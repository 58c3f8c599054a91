"""`python -m benchmarks.gpu [--device cuda|cpu] [--quick] [--json FILE]`

Needs nothing but torch and this checkout. On a GPU it takes some minutes, and memory for 14 GB of V
and some more. On a CPU small shapes rehearse it: times are printed, and only counts are kept.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.figures.machine import facts
from benchmarks.figures.result import Result, finish
from benchmarks.gpu import adapters, bandwidth, counts, kernels
from benchmarks.gpu.shapes import (
    LLAMA_2_7B,
    LLAMA_3_8B,
    LLAMA_3_70B,
    RANKS,
    TOY,
    Model,
    distinct,
)

REHEARSED = "gpu-rehearsal"
ADAPTER_RANK = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=found)
    parser.add_argument("--quick", action="store_true", help="one rank, fewer models and rounds")
    parser.add_argument("--json", type=Path, help="where the result is kept")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        return _rehearse(arguments.json)
    return _measure(torch.device("cuda"), quick=arguments.quick, path=arguments.json)


def _measure(device: torch.device, *, quick: bool, path: Path | None) -> int:
    models = [LLAMA_2_7B] if quick else [LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B]
    rounds, ranks = (3, (ADAPTER_RANK,)) if quick else (10, RANKS)
    where = torch.cuda.get_device_name(device)
    memory = bandwidth.measure(device, rounds=rounds)
    torch.cuda.empty_cache()
    random = torch.Generator(device).manual_seed(0)
    modules = [
        kernels.measure(shape, rank, random, rounds=rounds)
        for shape in distinct(models)
        for rank in ranks
    ]
    torch.cuda.empty_cache()
    whole = adapters.measure(LLAMA_2_7B, ADAPTER_RANK, random, rounds=rounds)
    result = Result(
        name="gpu",
        tables=[
            memory.table(where),
            *kernels.tables(modules, memory, where),
            adapters.table(whole, memory, where),
        ],
        ratios=adapters.promised(whole, memory, where),
        machine=facts(device),
    )
    return finish(result, path)


def _rehearse(path: Path | None, model: Model = TOY) -> int:
    """The same with small shapes on the CPU."""
    random = torch.Generator().manual_seed(0)
    small = 2**24
    memory = bandwidth.measure(random.device, rounds=2, size=small)
    modules = [
        kernels.measure(shape, rank, random, rounds=2, cache=small)
        for shape in distinct([model])
        for rank in RANKS
    ]
    whole = adapters.measure(model, ADAPTER_RANK, random, rounds=2)
    asked = counts.count()
    kept = [counts.counts_table(asked), counts.predicted_table(asked)]
    where = "the CPU"
    timed = [
        memory.table(where),
        *kernels.tables(modules, memory, where),
        adapters.table(whole, memory, where),
    ]
    result = Result(name=REHEARSED, tables=kept)
    replace(result, tables=[*timed, *kept]).show()
    result.save(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
