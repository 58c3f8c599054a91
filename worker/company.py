"""Jobs that wait for the alignment that one is at work with: judged in its pass, V being read once.

Nothing of theirs ends here. What comes of it is the result of a recipe, which each finds when its
own turn comes, and which is nobody's loss where it is missing. What goes wrong with one of them is
logged, and is found again when it is run for itself.
"""

import logging
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from rq.timeouts import BaseTimeoutException

from core.along import take_along
from core.errors import AdapterRejected, GateError, QueueError
from core.jobs import JobRequest
from core.queue import JobQueue
from core.timeouts import job_timeout
from worker.adapter import Adapter
from worker.alignment.source import AlignmentSource
from worker.fetching import Upload, fetch, order_of
from worker.interrupts import INTERRUPTIONS
from worker.judge import Judged
from worker.judging import Case
from worker.pipeline import Order, conclude, read
from worker.publishing import committed, publish, recipe_of
from worker.tracking import Tracker
from worker.workshop import Workshop

LARGER: Final = 2  # than the job itself, in bytes, that no other may be: it would hold that up
MOST_BYTES: Final = 2**30  # of all others' inputs: each is in memory and on the disk several times
WORTH_SHARING: Final = 2**27
"""Elements of V. A result made beforehand costs a job some 5 ms more, to be found at its own turn;
half a gigabyte read and hashed once less is worth ten times that, from memory still twice."""

SHARE_OF_TIME: Final = 0.25  # of what the job may take, after which others are let go

_log = logging.getLogger(__name__)

Made = TypeVar("Made")


@dataclass
class _Member:
    request: JobRequest
    upload: Upload
    order: Order
    adapter: Adapter
    alignment: AlignmentSource
    judged: list[Judged] | None = None


@dataclass
class Company:
    """Of those that wait, what may be judged beside `request`; none once an attempt at that failed
    or a worker died with it, for one of them may be to blame.

    `folder` is theirs alone, and made when it is needed.
    """

    request: JobRequest
    queue: JobQueue
    workshop: Workshop
    folder: Path
    first_attempt: bool
    _started: float = field(default_factory=time.monotonic)
    _members: list[_Member] = field(default_factory=list)

    @property
    def until(self) -> float:
        """How long they may take part, on the clock of `time.monotonic`."""
        allowed = job_timeout(self.queue.settings, _size(self.request))
        return self._started + SHARE_OF_TIME * allowed

    def join(self, case: Case, alignment: AlignmentSource, tracker: Tracker) -> list[Case]:
        """Those that can be read in time, have no result yet, and no module that `case` has not,
        for which it would only wait; none where that reads so little of V that sharing it costs
        more. Raises what stops the job at work."""
        most = self.workshop.settings.worker.together - 1
        names = {module.alignment_name for module in case.modules}
        if most == 0 or not self.first_attempt or _elements(names, alignment) < WORTH_SHARING:
            return []
        room = MOST_BYTES
        for number, request in enumerate(_waiting(self.request, self.queue, self.workshop, most)):
            if time.monotonic() >= self.until:
                break
            tracker.step("fetch", 0, 0)
            folder = self.folder / str(number)
            largest = min(LARGER * _size(self.request), room)
            member = _attempt(request, self._read, request, alignment, folder, largest)
            if member is not None and names.issuperset(
                module.alignment_name for module in member.adapter.modules
            ):
                self._members.append(member)
                room -= sum(file.size for file in member.adapter.files)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        self.workshop.metrics.beside.observe(len(self._members))
        return [Case(member.adapter.modules, member.order.policy) for member in self._members]

    @property
    def came_along(self) -> bool:
        """Whether some joined: what goes wrong may be their doing then."""
        return bool(self._members)

    def take(self, judged: Sequence[list[Judged] | None]) -> None:
        """What came of each case; None for one that was let go."""
        for member, found in zip(self._members, judged, strict=True):
            member.judged = found

    def publish(self, stop: Callable[[], bool]) -> None:
        """Write and store what there is of each, until told to stop or out of time."""
        try:
            for member in self._members:
                if member.judged is not None and not stop():
                    _attempt(member.request, self._publish, member, member.judged)
        except BaseTimeoutException:
            _log.warning("no time was left to publish what was judged beside a job")

    def _read(
        self, request: JobRequest, alignment: AlignmentSource, folder: Path, most: int
    ) -> _Member | None:
        if sum(file.size for file in request.files) > most:
            return None
        if committed(request, self.workshop, _digests(request), request.other_names) is not None:
            return None
        folder.mkdir(parents=True)
        upload = fetch(request, self.workshop, folder / "input", most=most)
        if upload.refusal is not None:
            raise upload.refusal
        output = folder / "output"
        output.mkdir()
        order = order_of(request, upload, output)
        return _Member(request, upload, order, read(order, alignment, Tracker()), alignment)

    def _publish(self, member: _Member, judged: list[Judged]) -> None:
        if self.workshop.records.result(member.request.tenant, member.request.id) is not None:
            return  # cancelled meanwhile, or run for itself
        report = conclude(member.order, member.adapter, judged, member.alignment, Tracker())
        publish(member.request, self.workshop, member.upload, report, member.order.output)
        _log.info("job %s has its result before its turn", member.request.id)


def _waiting(
    request: JobRequest, queue: JobQueue, workshop: Workshop, most: int
) -> list[JobRequest]:
    largest = LARGER * _size(request)
    try:
        found = take_along(queue, request.id, request.alignment.id, most=most, largest=largest)
        asked = [workshop.records.request(tenant, job_id) for tenant, job_id in found]
    except (QueueError, GateError) as error:
        _log.warning("job %s is run alone: %s", request.id, error)
        return []
    own = recipe_of(request, _digests(request), request.other_names)
    chosen: dict[str, JobRequest] = {}
    for other in asked:
        if other is None or any(file.key is None or file.sha256 is None for file in other.files):
            continue  # removed; or its bytes are elsewhere, and slow to come
        if other.alignment.name != request.alignment.name:
            continue  # which its report says
        chosen.setdefault(recipe_of(other, _digests(other), other.other_names), other)
    return [other for recipe, other in chosen.items() if recipe != own]


def _size(request: JobRequest) -> int:
    return sum(file.size for file in request.files)


def _elements(names: Collection[str], alignment: AlignmentSource) -> int:
    """Of V, in all these modules."""
    shapes = [alignment.shapes[name] for name in names]
    return sum(shape.out_features * shape.in_features for shape in shapes)


def _digests(request: JobRequest) -> dict[str, str]:
    return {file.name: file.sha256 for file in request.files if file.sha256 is not None}


def _attempt(request: JobRequest, work: Callable[..., Made], *arguments: object) -> Made | None:
    """What `work` gives, or None where it fails: then the job's own turn will tell."""
    try:
        return work(*arguments)
    except INTERRUPTIONS:
        raise
    except AdapterRejected:
        return None
    except Exception:  # noqa: BLE001  (whatever it is must not touch the job at work)
        _log.exception("job %s is left to its own turn", request.id)
        return None
