"""Read, check, rewrite an adapter. What is not understood is refused, by name."""

from worker.adapter.gate import examine, load_adapter
from worker.adapter.model import Adapter, AdapterFiles, LoraModule

__all__ = ["Adapter", "AdapterFiles", "LoraModule", "examine", "load_adapter"]
