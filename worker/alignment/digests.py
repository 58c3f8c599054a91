"""The SHA-256 of each tensor of a checkpoint, from its files: bytes are bytes in any dtype."""

import hashlib
from collections.abc import Iterator, Mapping

from core.alignments import WeightDigest
from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.tensors import StoredTensor, chunks


class WeightDigests(Mapping[str, WeightDigest]):
    """Digests by tensor name, each made when it is first asked for, and once.

    `names`: what a weight may be called, and the tensor it is, as `lm_head.weight` where the head
    is tied to an embedding; a tensor's own name goes first. Iterating follows the bytes of one file
    after the other, so that all digests take one sequential read. Raises `AlignmentError`
    (`checkpoint_unreadable`).
    """

    def __init__(
        self,
        files: CheckpointFiles,
        tensors: Mapping[str, StoredTensor],
        names: Mapping[str, str],
    ) -> None:
        self._files = files
        self._tensors = tensors
        self._names = {name: name for name in tensors}
        self._names |= {name: names[name] for name in sorted(names.keys() - tensors.keys())}
        self._made: dict[str, WeightDigest] = {}

    def __getitem__(self, name: str) -> WeightDigest:
        key = self._names[name]
        if key not in self._made:
            tensor = self._tensors[key]
            sha256 = hashlib.sha256()
            for chunk in chunks(self._files, tensor):
                sha256.update(chunk)
            self.add(name, sha256.hexdigest())
        return self._made[key]

    def add(self, name: str, sha256: str) -> None:
        """Note the digest of a tensor that was hashed elsewhere, as it was read for its values."""
        tensor = self._tensors[self._names[name]]
        self._made[tensor.key] = WeightDigest(
            dtype=tensor.dtype, shape=list(tensor.shape), sha256=sha256
        )

    def kind(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """Dtype and shape of the tensor, from the header alone; None if there is none."""
        key = self._names.get(name)
        return None if key is None else (self._tensors[key].dtype, self._tensors[key].shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
