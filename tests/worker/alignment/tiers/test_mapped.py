"""Shards as mappings of their files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from tests.worker.making import generator
from worker.alignment.naming import digest_of
from worker.alignment.tiers.mapped import tensors_in, whole_mapping

ROOT = Path(__file__).parents[4]
MEGABYTES = 256
LOADING = """
import re, sys
from pathlib import Path
from worker.alignment.naming import digest_of
from worker.alignment.tiers.mapped import tensors_in, whole_mapping

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024

path = Path(sys.argv[1])
before = peak()
with path.open("rb") as file:
    tensors = tensors_in(whole_mapping(file, path.name))
assert float(tensors["v"][-1, -1]) == 0.0
print(peak() - before)
"""


def shard(padding: int) -> bytes:
    """Three dtypes, one tensor without elements, and a header with so many spaces at its end."""
    random = generator(1)
    data = save(
        {
            "v": torch.randn(5, 3, generator=random).to(torch.bfloat16),
            "u": torch.randn(4, 2, generator=random),
            "z": torch.randn(3, 7, generator=random).half(),
            "none": torch.empty(0, 4),
        }
    )
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip() + b" " * padding
    assert json.loads(header)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


@pytest.mark.parametrize("padding", range(8))
def test_tensors_are_those_that_safetensors_reads(padding: int, tmp_path: Path) -> None:
    """Wherever the header ends, and so whether or not tensors lie at multiples of their size."""
    data = shard(padding)
    path = tmp_path / "shard"
    path.write_bytes(data)
    with path.open("rb") as file:
        mapping = whole_mapping(file, digest_of([data]))
    assert mapping is not None
    ours, theirs = tensors_in(mapping), load(data)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor.dtype, tensor.shape) == (theirs[name].dtype, theirs[name].shape)
        assert torch.equal(tensor, theirs[name])
        assert tensor.data_ptr() % tensor.dtype.itemsize == 0


def test_writing_into_a_tensor_reaches_no_file(tmp_path: Path) -> None:
    """The mapping is private to the process."""
    data = shard(0)
    path = tmp_path / "shard"
    path.write_bytes(data)
    with path.open("rb") as file:
        mapping = whole_mapping(file, digest_of([data]))
    assert mapping is not None
    for tensor in tensors_in(mapping).values():
        tensor.fill_(1.0)
    assert path.read_bytes() == data


def test_loading_takes_the_memory_of_one_copy(tmp_path: Path) -> None:
    """The peak of a process grows by the shard's size and little more."""
    data = save({"v": torch.zeros(MEGABYTES, 2**20, dtype=torch.uint8).view(torch.bfloat16)})
    path = tmp_path / digest_of([data])
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert MEGABYTES * 0.5 < float(done.stdout) < MEGABYTES * 1.2


def test_what_is_mapped_holds_no_descriptor(tmp_path: Path) -> None:
    """A large alignment has more shards than a process may have files open."""
    data = shard(0)
    path = tmp_path / "shard"
    path.write_bytes(data)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    kept = []
    for _ in range(100):
        with path.open("rb") as file:
            mapping = whole_mapping(file, digest_of([data]))
        assert mapping is not None
        kept.append(tensors_in(mapping))
    assert len(list(descriptors.iterdir())) < before + 10
