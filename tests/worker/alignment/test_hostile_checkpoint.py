"""Checkpoints that nobody made in good faith: one short error, with a code, whatever they hold."""

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import torch

from core.errors import AlignmentError
from tests.worker.making import save_checkpoint
from worker.alignment.checkpoint import Checkpoint
from worker.alignment.checkpoint_files import FolderFiles
from worker.alignment.tensors import INDEX

WEIGHTS = {"model.layers.0.self_attn.q_proj.weight": torch.ones(4, 3)}


def refusal(folder: Path) -> AlignmentError:
    with pytest.raises(AlignmentError) as caught:
        Checkpoint(folder)
    assert len(caught.value.message) < 1000
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (b"[" * 100_000, "checkpoint_unreadable"),
        (b'{"weight_map": []}', "checkpoint_unreadable"),
        (b'{"weight_map": {"a": 1}}', "checkpoint_missing"),
        (b'{"weight_map": {"a": {}}}', "checkpoint_unreadable"),
        (b'{"weight_map": {"a": "x", "a": "y"}}', "checkpoint_unreadable"),
        (b'{"weight_map": {"a": "' + b"x" * 5_000_000 + b'"}}', "checkpoint_missing"),
        (b'{"weight_map": {"a": "x\\nINFO all is well"}}', "checkpoint_missing"),
        (b'{"weight_map": {"a": "../../etc/passwd"}}', "checkpoint_missing"),
        (b"[]", "checkpoint_unreadable"),
        (b"\xff", "checkpoint_unreadable"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else value,
)
def test_an_index_of_anything_is_refused(tmp_path: Path, index: bytes, code: str) -> None:
    """Deep, large, of other types, with names of other places, or of lines of a log."""
    folder = save_checkpoint(tmp_path / "c", WEIGHTS)
    (folder / INDEX).write_bytes(index)
    assert refusal(folder).code == code


@pytest.mark.parametrize("value", [["x"], "nf4", {"quant_method": "x" * 10_000}, {"bits": 4}])
def test_a_quantised_checkpoint_is_refused_however_it_says_so(tmp_path: Path, value: Any) -> None:
    """The field counts, not its type."""
    folder = save_checkpoint(tmp_path / "c", WEIGHTS, quantization_config=value)
    assert refusal(folder).code == "checkpoint_quantised"


class OneByteAtATime(io.FileIO):
    """As a network may deliver them."""

    def readinto(self, buffer: Any) -> int:
        return super().readinto(memoryview(buffer)[:1])


class Dripping(FolderFiles):
    def open(self, name: str, start: int = 0, end: int | None = None) -> BinaryIO:
        del end
        file = OneByteAtATime(self.folder / name)
        file.seek(start)
        return cast("BinaryIO", file)


def test_bytes_that_come_one_by_one_are_as_good(tmp_path: Path) -> None:
    """No read is taken for the end because it is short."""
    folder = save_checkpoint(tmp_path / "c", WEIGHTS)
    with Checkpoint(Dripping(folder)) as dripping, Checkpoint(folder) as whole:
        assert dripping.tensors == whole.tensors
        assert dict(dripping.digests) == dict(whole.digests)
