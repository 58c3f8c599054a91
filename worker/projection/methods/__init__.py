"""What happens to a chosen module. A new method: a file here, a line in METHODS, a policy name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from core.policy import MethodName, Policy
from worker.projection.methods.complement import complement
from worker.projection.methods.safe_lora import safe_lora
from worker.projection.methods.subspace import subspace
from worker.projection.methods.zero import zero
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update

Method = Callable[[Update, ModuleSpectrum, ThinProducts | None, Policy, int], Update]

METHODS: Final[Mapping[MethodName, Method]] = MappingProxyType(
    {"safe_lora": safe_lora, "subspace": subspace, "complement": complement, "zero": zero}
)
