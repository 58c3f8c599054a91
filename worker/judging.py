"""The modules of an adapter judged, several at once; of several adapters too, V being read once."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from core.policy import Policy
from worker.adapter.model import LoraModule
from worker.alignment.loaded import LoadedSpectrum, without_v
from worker.alignment.make import LoadedModule
from worker.alignment.parallel import in_parallel, usual_workers
from worker.alignment.source import AlignmentSource
from worker.judge import Judged, project_module, score_modules
from worker.memory import Turns, with_room
from worker.tracking import Tracker


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


def judge_all(
    cases: Sequence[Case],
    alignment: AlignmentSource,
    tracker: Tracker,
    *,
    others_until: float | None = None,
) -> list[list[Judged] | None]:
    """Every module of each case, in its order; each comes to what it would come to alone.

    While one module is read and hashed another is multiplied. The time is the first case's: from
    `others_until` on, in seconds of `time.monotonic`, none of the others' modules is begun, and
    None stands for each that was not done by then.
    """
    groups = _groups(cases)
    workers = min(usual_workers(), len(groups))
    turns = Turns(workers)

    def judge(group: _Group, _desk: int) -> dict[int, Judged]:
        late = others_until is not None and time.monotonic() >= others_until
        members = {0: group.members[0]} if late and 0 in group.members else group.members
        if late and 0 not in group.members:
            return {}
        work = partial(_judge, group.name, members, cases, alignment, tracker, workers)
        return with_room(alignment, turns, work)

    judged: list[dict[str, Judged]] = [{} for _ in cases]
    done = 0

    def step() -> None:
        tracker.step("score", done, len(groups))

    step()
    made = in_parallel(judge, groups, range(workers), waiting=step, abandon=lambda: None)
    with closing(made):
        for members in made:
            for place, one in members.items():
                judged[place][one.module.path] = one
            done += 1
            step()
    return [_in_order(case, found) for case, found in zip(cases, judged, strict=True)]


def _groups(cases: Sequence[Case]) -> list[_Group]:
    """The first case's modules first, in its order."""
    members: dict[str, dict[int, LoraModule]] = {}
    for place, case in enumerate(cases):
        for module in case.modules:
            members.setdefault(module.alignment_name, {})[place] = module
    return [_Group(name, by_place) for name, by_place in members.items()]


def _in_order(case: Case, judged: Mapping[str, Judged]) -> list[Judged] | None:
    if len(judged) < len(case.modules):
        return None
    return [judged[module.path] for module in case.modules]


def _judge(
    name: str,
    members: Mapping[int, LoraModule],
    cases: Sequence[Case],
    alignment: AlignmentSource,
    tracker: Tracker,
    at_once: int,
) -> dict[int, Judged]:
    policies = [cases[place].policy for place in members]
    with tracker.stage("align", at_once=at_once):
        loaded = _loaded(name, policies, alignment)
    with tracker.stage("score", at_once=at_once):
        scored = score_modules(list(members.values()), loaded, policies)
    with tracker.stage("project", at_once=at_once):
        each = zip(members, scored, loaded, policies, strict=True)
        return {place: project_module(s, lo, policy) for place, s, lo, policy in each}


def _loaded(
    name: str, policies: Sequence[Policy], alignment: AlignmentSource
) -> list[LoadedModule | LoadedSpectrum]:
    """For each policy, with V only where that policy has it loaded: else it would score more."""
    if not any(policy.loads_v for policy in policies):
        return [alignment.spectrum(name)] * len(policies)
    whole = alignment.module(name)
    return [whole if policy.loads_v else without_v(whole) for policy in policies]
