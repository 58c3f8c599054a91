"""The nearest tier: modules that are loaded already."""

from collections import OrderedDict

from worker.alignment.make import LoadedModule


class RamTier:
    """Loaded modules, least recently used first out, up to `capacity` bytes. One thread only."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._modules: OrderedDict[str, LoadedModule] = OrderedDict()

    def get(self, key: str) -> LoadedModule | None:
        module = self._modules.get(key)
        if module is not None:
            self._modules.move_to_end(key)
        return module

    def put(self, key: str, module: LoadedModule) -> None:
        size = module_bytes(module)
        if size > self.capacity or key in self._modules:
            return
        while self.used + size > self.capacity:
            _, dropped = self._modules.popitem(last=False)
            self.used -= module_bytes(dropped)
        self._modules[key] = module
        self.used += size


def module_bytes(module: LoadedModule) -> int:
    tensors = module.tensors
    return sum(t.numel() * t.element_size() for t in (tensors.v, tensors.u, tensors.z))
