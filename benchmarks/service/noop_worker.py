"""The real worker with one task more, which does nothing.

`python -m benchmarks.service.noop_worker` is `python -m worker run`.
"""

import sys
from collections.abc import Mapping
from unittest.mock import patch

from worker.waiting import wait_asleep

wait_asleep()

import worker.tasks  # noqa: E402  (brings torch)
from benchmarks.service.noop import NOOP  # noqa: E402
from worker.__main__ import main  # noqa: E402
from worker.tasks import Task, Tasks  # noqa: E402


class TasksWithNoop(Tasks):
    @property
    def by_name(self) -> Mapping[str, Task]:
        return {**super().by_name, NOOP: self.noop}

    def noop(self, *, job_id: str, attempts_left: int) -> None:
        """Tells its end as a job of the service does, or nobody could wait for it so."""
        del attempts_left
        self.queue.events.ended(job_id)


if __name__ == "__main__":
    with patch.object(worker.tasks, "Tasks", TasksWithNoop):
        sys.exit(main(["run"]))
