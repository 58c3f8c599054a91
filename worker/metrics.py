"""What a worker's tiers and its device hold, read when Prometheus asks."""

from collections.abc import Callable, Iterable

import torch
from prometheus_client.core import Metric

from core.observing import work
from core.settings import AlignmentSettings
from worker.alignment.tiers import RamTier, TierCounts, used_bytes
from worker.alignment.tiers.counts import TIERS


def tier_reader(
    counts: TierCounts, ram: RamTier, settings: AlignmentSettings, device: torch.device
) -> Callable[[], Iterable[Metric]]:
    def read() -> Iterable[Metric]:
        read_bytes, modules = work.V_BYTES.read(), work.V_MODULES.read()
        for tier in TIERS:
            read_bytes.add_metric([tier], counts.bytes[tier])
            modules.add_metric([tier], counts.modules[tier])
        used, capacity = work.TIER_USED.read(), work.TIER_SIZE.read()
        used.add_metric(["ram"], ram.used)
        used.add_metric(["disk"], used_bytes(settings.cache))
        capacity.add_metric(["ram"], ram.capacity)
        capacity.add_metric(["disk"], settings.disk_bytes)
        return [read_bytes, modules, used, capacity, _memory(device)]

    return read


def _memory(device: torch.device) -> Metric:
    memory = work.DEVICE.read()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        memory.add_metric(["free"], free)
        memory.add_metric(["total"], total)
        memory.add_metric(["reserved"], torch.cuda.memory_reserved(device))
    return memory
