"""One file for one set of tensors, as safetensors' own writer would have it."""

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from core.canonical import canonical_json
from core.safetensors_header import LENGTH_BYTES, header_length, parse_header
from worker.safetensors_file import write_safetensors

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
PATH = st.from_regex(r"[A-Za-z0-9_-]{1,5}(\.[A-Za-z0-9_-]{1,5}){0,3}", fullmatch=True)
SHAPE = st.lists(st.integers(0, 5), min_size=1, max_size=2)
NAMED = st.dictionaries(PATH.filter(lambda p: p != "__metadata__"), SHAPE, min_size=1, max_size=6)
FORMAT = {"format": "pt"}


def tensor(shape: list[int], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def ours(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write_safetensors(path, tensors, metadata)
        return path.read_bytes()


def split(data: bytes) -> tuple[bytes, bytes]:
    end = LENGTH_BYTES + header_length(data)
    return data[LENGTH_BYTES:end], data[end:]


@settings(max_examples=150, deadline=None)
@given(shapes=NAMED, dtype=st.sampled_from(DTYPES), value=st.text(max_size=8))
def test_file_is_that_of_safetensors_but_for_the_order_of_keys(
    shapes: dict[str, list[int]], dtype: torch.dtype, value: str
) -> None:
    """Of one dtype and with one metadata entry, so that the library has no order to choose: the
    same tensors' bytes behind a header of the same length, whose keys alone are sorted in ours."""
    tensors = {name: tensor(s, dtype, i) for i, (name, s) in enumerate(shapes.items())}
    metadata = {"format": value}
    written, theirs = split(ours(tensors, metadata)), split(save(tensors, metadata))
    assert written[1] == theirs[1]
    assert len(written[0]) == len(theirs[0])
    assert written[0].rstrip() == canonical_json(json.loads(theirs[0]))


@settings(max_examples=100, deadline=None)
@given(shapes=NAMED, half=st.sampled_from(DTYPES[1:]), narrow=st.sets(st.integers(0, 5)))
def test_wide_tensors_lie_before_narrow_ones_as_in_safetensors(
    shapes: dict[str, list[int]], half: torch.dtype, narrow: set[int]
) -> None:
    """float32 beside one of the 16-bit dtypes, as widening leaves it: the same body and entries."""
    tensors = {
        name: tensor(shape, half if index in narrow else torch.float32, index)
        for index, (name, shape) in enumerate(shapes.items())
    }
    written, theirs = split(ours(tensors, FORMAT)), split(save(tensors, FORMAT))
    assert written[1] == theirs[1]
    assert json.loads(written[0]) == json.loads(theirs[0])


@settings(max_examples=100, deadline=None)
@given(
    shapes=NAMED,
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=6, max_size=6),
    metadata=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_any_order_of_the_same_tensors_makes_one_file(
    shapes: dict[str, list[int]],
    dtypes: list[torch.dtype],
    metadata: dict[str, str],
    order: Random,
) -> None:
    """However they were put in: one file, which passes our header check and is read back whole."""
    names = list(shapes)
    tensors = {n: tensor(shapes[n], dtypes[i], i) for i, n in enumerate(names)}
    data = ours(tensors, metadata)
    order.shuffle(names)
    shuffled = dict(sorted(metadata.items(), key=lambda _: order.random()))
    assert ours({name: tensors[name] for name in names}, shuffled) == data
    header, body = split(data)
    assert len(header) % 8 == 0
    assert parse_header(header, len(body)).keys() == tensors.keys()
    assert json.loads(header)["__metadata__"] == metadata
    read = load(data)
    assert all(torch.equal(read[n], tensors[n]) and read[n].dtype == tensors[n].dtype for n in read)


def test_a_view_is_written_as_it_reads(tmp_path: Path) -> None:
    """Transposed or cut out of a larger tensor: its elements in order, none of its neighbours."""
    whole = torch.arange(12.0).reshape(3, 4)
    views = {"t": whole.T, "cut": whole[1:, 1:3], "row": whole[1]}
    write_safetensors(tmp_path / "x", views, FORMAT)
    read = load((tmp_path / "x").read_bytes())
    assert all(torch.equal(read[name], view) for name, view in views.items())


def test_other_dtypes_are_not_written(tmp_path: Path) -> None:
    """What the gate would not let in is never put out."""
    with pytest.raises(KeyError):
        write_safetensors(tmp_path / "x", {"a": torch.zeros(2, dtype=torch.float64)}, FORMAT)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    """A name that is taken is an error, not a loss."""
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_safetensors(tmp_path / "x", {"a": torch.zeros(2)}, FORMAT)
    assert (tmp_path / "x").read_bytes() == b"mine"
