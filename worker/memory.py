"""Room on the device: where it runs out of memory, warm modules make way for the one at work."""

import logging
import re
from collections.abc import Callable
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


def with_room(alignment: AlignmentSource, work: Callable[[], Result]) -> Result:
    """What `work` returns. Where memory runs out it is called again, once half of what `alignment`
    keeps warm is let go, and again without any of that. Raises `DeviceOutOfMemory` if that was not
    enough.
    """
    for kept in KEPT:
        try:
            return _attempt(work)
        except DeviceOutOfMemory as error:
            why = str(error.__cause__)
        # Not above: until it is handled, the error holds on to what `work` had on the device.
        _log.warning("%s; of the warm modules %.0f %% are kept", why, 100 * kept)
        alignment.keep_warm(kept)
        torch.cuda.empty_cache()
    return _attempt(work)


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
