"""The pair's alignment: built once under the output folder, for the modules that are adapted."""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from benchmarks.any_pair.cases import pair_stamp
from benchmarks.any_pair.plan import Plan
from benchmarks.efficacy.making import device
from core.alignments import DEFAULT_RANK, SCHEMA, DtypeRule
from core.canonical import digest
from core.policy import Directions, Policy
from worker.alignment.build import build_alignment
from worker.alignment.make import Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import Folder, ModuleLoader, RamTier, read_manifest

logger = logging.getLogger(__name__)

RAM = 8 * 2**30  # bytes of modules that stay loaded between adapters


def needs_energy(policy: Policy) -> bool:
    """How many directions it takes is known only once V is decomposed, module by module."""
    return any(directions.energy_share is not None for directions in _asked([policy]))


def energy_recipe(policy: Policy) -> Recipe:
    """For such a policy: V in float32, and as many directions as hold its largest share."""
    shares = [directions.energy_share or 0.0 for directions in _asked([policy])]
    return Recipe("float32", _rank([policy]), max(shares))


def stored_alignment(
    plan: Plan, modules: Collection[str], policies: Collection[Policy]
) -> StoredAlignment:
    """Of these modules, with as many directions as these policies take. A build that was stopped
    goes on where it was. Raises `AlignmentError`."""
    rank = _rank(policies)
    dtype: DtypeRule = "float32" if any(policy.reference for policy in policies) else "auto"
    recipe = digest([SCHEMA, pair_stamp(plan), rank, dtype, *sorted(modules)])
    folder = plan.output / "alignments" / recipe[:12]
    if not folder.is_dir():
        _build(plan, modules, folder, dtype, rank)
    files = Folder(folder)
    manifest = read_manifest(files)
    loader = ModuleLoader(manifest, files, RamTier(capacity=RAM), device())
    return StoredAlignment(manifest, loader, name=None)


def _build(plan: Plan, modules: Collection[str], folder: Path, dtype: DtypeRule, rank: int) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    logger.info("building the alignment of %d modules, %d directions each", len(modules), rank)
    with Pair(plan.base, plan.aligned, modules=sorted(modules)) as pair:
        build_alignment(pair, partial, dtype=dtype, rank=rank, step=_log_step)
    partial.rename(folder)


def _log_step(done: int, total: int) -> None:
    logger.debug("%d of %d modules", done, total)


def _rank(policies: Iterable[Policy]) -> int:
    """No fewer than are stored elsewhere: the report's energies are of these."""
    return max([DEFAULT_RANK, *(directions.rank or 0 for directions in _asked(policies))])


def _asked(policies: Iterable[Policy]) -> list[Directions]:
    found = (p.directions(suffix) for p in policies for suffix in ("", *p.families))
    return [directions for directions in found if directions is not None]
