"""The real worker with one task more, which does nothing.

`python -m benchmarks.service.noop_worker` is `python -m worker run`.
"""

import logging
import sys
from collections.abc import Mapping
from unittest.mock import patch

import worker.gpu
from benchmarks.service.noop import NOOP
from core.settings import load_settings
from worker.tasks import Task, Tasks


class TasksWithNoop(Tasks):
    @property
    def by_name(self) -> Mapping[str, Task]:
        return {**super().by_name, NOOP: self.noop}

    def noop(self, *, job_id: str, attempts_left: int) -> None:
        """Tells its end as a job of the service does, or nobody could wait for it so."""
        del attempts_left
        self.queue.events.ended(job_id)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with patch.object(worker.gpu, "Tasks", TasksWithNoop):
        return worker.gpu.run_process(load_settings())


if __name__ == "__main__":
    sys.exit(main())
