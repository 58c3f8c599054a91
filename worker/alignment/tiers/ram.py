"""The nearest tier: shards that are loaded already."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from torch import Tensor


class RamTier:
    """Tensors of shards on their device, least recently used first out, up to `capacity` bytes.

    Safe to share between threads.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._shards: OrderedDict[str, Mapping[str, Tensor]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Mapping[str, Tensor] | None:
        with self._lock:
            tensors = self._shards.get(key)
            if tensors is not None:
                self._shards.move_to_end(key)
            return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        size = tensor_bytes(tensors)
        with self._lock:
            if size > self.capacity or key in self._shards:
                return
            self._shrink(self.capacity - size)
            self._shards[key] = tensors
            self.used += size

    def keep(self, share: float) -> None:
        """Drop shards until no more than `share` (0 to 1) of the bytes held now are left."""
        with self._lock:
            self._shrink(int(self.used * share))

    def _shrink(self, limit: int) -> None:
        while self.used > limit:
            _, dropped = self._shards.popitem(last=False)
            self.used -= tensor_bytes(dropped)


def tensor_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())
