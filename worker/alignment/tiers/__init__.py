"""What keeps an alignment's modules near: RAM (or GPU) → local disk → Redis → object store.

What Redis or the store gives goes onto the disk first, and what enters RAM is a mapping of the file
there, checked against the digest that it is named by. So every tier yields the same bytes at the
same offsets, and with them the same results. A copy that differs is dropped and fetched again.
"""

from worker.alignment.tiers.counts import TierCounts
from worker.alignment.tiers.disk import DiskTier
from worker.alignment.tiers.files import Folder
from worker.alignment.tiers.loader import ModuleLoader
from worker.alignment.tiers.manifest import publish, read_manifest
from worker.alignment.tiers.ram import RamTier
from worker.alignment.tiers.redis import RedisTier
from worker.alignment.tiers.room import make_room, remove_unfinished, used_bytes

__all__ = [
    "DiskTier",
    "Folder",
    "ModuleLoader",
    "RamTier",
    "RedisTier",
    "TierCounts",
    "make_room",
    "publish",
    "read_manifest",
    "remove_unfinished",
    "used_bytes",
]
