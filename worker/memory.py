"""Room on the device: where it runs out of memory, warm modules make way for the one at work."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Final, TypeVar

import torch

from core.errors import EngineError
from worker.alignment.source import AlignmentSource

KEPT: Final = (0.5, 0.0)  # of what is warm, before the second and the third attempt

_SAID_OTHERWISE = re.compile(
    r"DefaultCPUAllocator|MPS backend out of memory|CUDA error: out of memory|STATUS_ALLOC_FAILED"
)
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class DeviceOutOfMemory(EngineError):
    """One module does not fit onto the device."""

    code = "device_out_of_memory"


class Turns:
    """Work of several threads on one device: side by side, or one alone."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._free = BoundedSemaphore(threads)
        self._one = Lock()

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        with self._free:
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for those at work."""
        held = 0
        with self._one:
            try:
                for _ in range(self._threads):
                    self._free.acquire()
                    held += 1
                yield
            finally:
                for _ in range(held):
                    self._free.release()


def with_room(alignment: AlignmentSource, turns: Turns, work: Callable[[], Result]) -> Result:
    """What `work` returns. Where memory runs out it is called again with no other beside it, once
    half of what `alignment` keeps warm is let go, and again without any of that. Raises
    `DeviceOutOfMemory` if that was not enough.
    """
    try:
        with turns.beside_others():
            return _attempt(work)
    except DeviceOutOfMemory as error:
        why = str(error.__cause__)
    # Not above: until it is handled, the error holds on to what `work` had on the device.
    with turns.alone():
        _make_room(alignment, KEPT[0], why)
        try:
            return _attempt(work)
        except DeviceOutOfMemory as error:
            why = str(error.__cause__)
        _make_room(alignment, KEPT[1], why)
        return _attempt(work)


def _make_room(alignment: AlignmentSource, kept: float, why: str) -> None:
    _log.warning("%s; of the warm modules %.0f %% are kept", why, 100 * kept)
    alignment.keep_warm(kept)
    torch.cuda.empty_cache()


def _attempt(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise DeviceOutOfMemory(
            "the worker's device has too little memory for one module of this alignment, though no"
            " other was kept on it: give it a larger GPU, or SAFELORA_WORKER__DEVICE=cpu; where"
            " several workers share the device, give each a smaller SAFELORA_ALIGNMENTS__RAM_BYTES"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Torch has a class for its own allocator on a GPU only, and words for the rest."""
    return isinstance(error, torch.OutOfMemoryError) or bool(_SAID_OTHERWISE.search(str(error)))
