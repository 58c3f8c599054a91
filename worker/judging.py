"""The modules of an adapter judged, several at once; of several adapters too, V being read once."""

import logging
import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from core.policy import Policy
from worker.adapter.model import LoraModule
from worker.alignment.loaded import LoadedSpectrum, without_v
from worker.alignment.make import LoadedModule
from worker.alignment.pair import ModuleShape
from worker.alignment.parallel import in_parallel, usual_workers
from worker.alignment.source import AlignmentSource
from worker.interrupts import INTERRUPTIONS
from worker.judge import Judged, project_module, score_modules
from worker.memory import Turns, with_room
from worker.tracking import Tracker

WORTH_THREADS = 2**28  # multiplications; to start threads takes some 5 ms

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """An adapter's modules, and what they are judged by."""

    modules: Sequence[LoraModule]
    policy: Policy


@dataclass(frozen=True)
class _Group:
    """One module of the alignment, and those of the cases, by their places, that are of it."""

    name: str
    members: Mapping[int, LoraModule]

    def alone(self) -> "_Group":
        """Without others than the first case."""
        return _Group(self.name, {p: m for p, m in self.members.items() if p == 0})


def judge_one(case: Case, alignment: AlignmentSource, tracker: Tracker) -> list[Judged]:
    """Every module, in its order; while one is read and hashed another is multiplied."""
    return judge_all(case, [], alignment, tracker, until=math.inf)[0]


def judge_all(
    case: Case,
    others: Sequence[Case],
    alignment: AlignmentSource,
    tracker: Tracker,
    *,
    until: float,
) -> tuple[list[Judged], list[list[Judged] | None]]:
    """The same with others in one pass; each comes to what it would come to alone.

    The time is the first case's, and so is the tracker: from `until` on, by `time.monotonic`, no
    module of the others is begun. None stands for each that was not done by then, and where an
    error met a module of several, for all others that have it: that is judged for the first alone.
    """
    cases = [case, *others]
    groups = _groups(cases)
    workers = _workers(groups, alignment)
    turns = Turns(workers)

    def judge(group: _Group, _desk: int) -> dict[int, Judged]:
        alone = group.alone()
        if len(group.members) > len(alone.members) and time.monotonic() < until:
            try:
                return judge_group(group)
            except INTERRUPTIONS:  # where it is judged in the job's own thread
                raise
            except Exception:  # noqa: BLE001  (an error of the others', most likely)
                _log.exception("%s is judged for one job alone: with others it failed", group.name)
        return judge_group(alone) if alone.members else {}

    def judge_group(group: _Group) -> dict[int, Judged]:
        work = partial(_judge, group, cases, alignment, tracker, workers)
        return with_room(alignment, turns, work)

    judged: list[dict[str, Judged]] = [{} for _ in cases]
    done = 0

    def step() -> None:
        tracker.step("score", done, len(groups))

    def one_by_one() -> Generator[dict[int, Judged]]:
        for group in groups:
            yield judge(group, 0)

    def side_by_side() -> Generator[dict[int, Judged]]:
        return in_parallel(judge, groups, range(workers), waiting=step, abandon=lambda: None)

    step()
    with tracker.turns("judge"), closing(one_by_one() if workers == 1 else side_by_side()) as made:
        for members in made:
            for place, one in members.items():
                judged[place][one.module.path] = one
            done += 1
            step()
    whole = [
        [found[module.path] for module in one.modules] if len(found) == len(one.modules) else None
        for one, found in zip(cases, judged, strict=True)
    ]
    own = whole[0]
    assert own is not None  # noqa: S101  (only others are let go)
    return own, whole[1:]


def _workers(groups: Sequence[_Group], alignment: AlignmentSource) -> int:
    """How many modules at once: one, in this thread, where all of it takes less than others take to
    be started with torch's threads of their own."""
    work = sum(
        _multiplications(alignment.shapes[group.name], module.rank)
        for group in groups
        for module in group.members.values()
    )
    return min(usual_workers(), len(groups)) if work > WORTH_THREADS else 1


def _multiplications(shape: ModuleShape, rank: int) -> int:
    """About what a module's two products, the Gram matrices of its factors and what is made of
    these take; V is read and hashed too, which few columns make up for."""
    columns = max(rank, 8)
    gram = 8 * rank**2 * (shape.out_features + shape.in_features)
    return 2 * columns * shape.out_features * shape.in_features + gram + 40 * rank**3


def _groups(cases: Sequence[Case]) -> list[_Group]:
    """The first case's modules first, in its order."""
    members: dict[str, dict[int, LoraModule]] = {}
    for place, case in enumerate(cases):
        for module in case.modules:
            members.setdefault(module.alignment_name, {})[place] = module
    return [_Group(name, by_place) for name, by_place in members.items()]


def _judge(
    group: _Group,
    cases: Sequence[Case],
    alignment: AlignmentSource,
    tracker: Tracker,
    at_once: int,
) -> dict[int, Judged]:
    policies = [cases[place].policy for place in group.members]
    with tracker.turn("align", at_once=at_once):
        loaded = _loaded(group.name, policies, alignment)
    with tracker.turn("score", at_once=at_once):
        scored = score_modules(list(group.members.values()), loaded, policies)
    with tracker.turn("project", at_once=at_once):
        each = zip(group.members, scored, loaded, policies, strict=True)
        return {place: project_module(s, lo, policy) for place, s, lo, policy in each}


def _loaded(
    name: str, policies: Sequence[Policy], alignment: AlignmentSource
) -> list[LoadedModule | LoadedSpectrum]:
    """For each policy, with V only where that policy has it loaded: else it would score more."""
    if not any(policy.loads_v for policy in policies):
        return [alignment.spectrum(name)] * len(policies)
    whole = alignment.module(name)
    return [whole if policy.loads_v else without_v(whole) for policy in policies]
