"""What a worker leaves of a pair that it built, to be laid where no worker was at it yet."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.alignments import AlignmentRecord
from tests.worker.service import Service


@dataclass(frozen=True)
class Built:
    """The record, everything that is in the store by its key, and the folder of local copies."""

    record: AlignmentRecord
    objects: dict[str, bytes]
    cache: Path

    @classmethod
    def by(cls, service: Service) -> Self:
        """The golden pair, built by a service that has done nothing else."""
        record = service.register()
        keys = list(service.store.list(""))
        objects = {key: service.store.get(key) for key in keys}
        return cls(record, objects, service.tasks.workshop.settings.alignments.cache)

    def lay_down(self, service: Service) -> AlignmentRecord:
        """As if that service had built it."""
        service.store.put_all(self.objects)
        cache = service.tasks.workshop.settings.alignments.cache
        shutil.copytree(self.cache, cache, dirs_exist_ok=True)
        return self.record
