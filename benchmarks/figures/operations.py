"""What torch is asked to do, counted: it differs from machine to machine in nothing.

Counted on the CPU, as if its tensors lay on a GPU: what `Tensor.cpu()` gives counts as the host's
from there on, and so does all that is made of nothing else.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from worker.projection import native

WAITS = {
    *(getattr(Tensor, f"__{kind}__") for kind in ("float", "int", "bool")),
    *(Tensor.item, Tensor.tolist, Tensor.cpu, torch.equal),
}
"""What has the host wait for the device: a value of a tensor is asked for."""


@dataclass
class Operations:
    """`launched`: the device's operations that compute, by name; views compute nothing.

    `waits`: how often the host waits for a value, by what asked. `made`: the bytes of all tensors
    made; `largest`: the elements of the largest. `read`: elements that were read of the tensor
    watched, or of views of it.
    """

    launched: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    made: int = 0
    largest: int = 0
    read: int = 0


@contextmanager
def counted(watched: Tensor | None = None) -> Iterator[Operations]:
    """Counts what this thread asks of torch within the block."""
    operations = Operations()
    hosts = WeakIdKeyDictionary()
    with (
        _Waits(operations, hosts),
        _Launches(operations, hosts, watched),
        _our_own(operations, watched),
    ):
        yield operations


@contextmanager
def _our_own(operations: Operations, watched: Tensor | None) -> Iterator[None]:
    """What torch hears nothing of, though it counts as one of its operations."""
    run = native.run

    def counting(name: str, v: Tensor, *arguments: Any) -> None:
        operations.launched[name] += 1
        if watched is not None and v.data_ptr() == watched.data_ptr():
            operations.read += v.numel()
        run(name, v, *arguments)

    native.run = counting  # type: ignore[assignment]
    try:
        yield
    finally:
        native.run = run


class _Waits(TorchFunctionMode):
    def __init__(self, operations: Operations, hosts: WeakIdKeyDictionary) -> None:
        super().__init__()
        self.operations, self.hosts = operations, hosts

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if func in WAITS and args[0] not in self.hosts:
            self.operations.waits[func.__name__] += 1
            if func is Tensor.cpu:
                result = result.detach()  # another object, where `cpu` gave the tensor itself
                self.hosts[result] = True
        return result


class _Launches(TorchDispatchMode):
    def __init__(
        self, operations: Operations, hosts: WeakIdKeyDictionary, watched: Tensor | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations, self.hosts = operations, hosts
        self.watched = None if watched is None else watched.untyped_storage().data_ptr()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        given = _tensors(args) + _tensors(tuple((kwargs or {}).values()))
        made = _tensors(result if isinstance(result, tuple | list) else (result,))
        if given and all(tensor in self.hosts for tensor in given):
            self.hosts.update((tensor, True) for tensor in made)
        elif not func.is_view and func is not torch.ops.aten._local_scalar_dense.default:
            self.operations.launched[func.overloadpacket.__name__] += 1
            self._weigh(given, made)
        return result

    def _weigh(self, given: list[Tensor], made: list[Tensor]) -> None:
        places = {tensor.untyped_storage().data_ptr() for tensor in given}
        for tensor in made:
            if tensor.untyped_storage().data_ptr() not in places:
                self.operations.made += tensor.untyped_storage().nbytes()
                self.operations.largest = max(self.operations.largest, tensor.numel())
        self.operations.read += sum(
            tensor.numel()
            for tensor in given
            if tensor.untyped_storage().data_ptr() == self.watched
        )


def _tensors(values: Any) -> list[Tensor]:
    """Those among the values, and in lists among them."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found
