"""The disk tier: copies of an alignment's files, shared by the workers of one machine."""

from contextlib import ExitStack
from pathlib import Path

from core.errors import AlignmentError
from core.store import layout
from core.store.base import ObjectMissing, ObjectStore
from worker.alignment.naming import digest_like, shard_digest
from worker.alignment.tiers.counts import Tier
from worker.alignment.tiers.files import Copy
from worker.alignment.tiers.lock import locked
from worker.alignment.tiers.redis import RedisTier
from worker.alignment.tiers.room import make_room, mark_used, partial_of


class DiskTier:
    """One alignment's files in a folder of `cache`, each fetched once, from Redis or the store.

    All that lies in `cache` takes `capacity` bytes at most.
    """

    def __init__(
        self,
        cache: Path,
        store: ObjectStore,
        alignment_id: str,
        *,
        capacity: int,
        redis: RedisTier | None = None,
    ) -> None:
        self.cache = cache
        self.folder = cache / alignment_id
        self.store = store
        self.alignment_id = alignment_id
        self.capacity = capacity
        self.redis = redis

    def open(self, filename: str) -> Copy:
        target = self.folder / filename
        copy = self._present(target)
        if copy is not None:
            return copy
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / f"{filename}.lock"):
            # Whoever held the lock before has fetched it, most likely.
            copy = self._present(target) or self._fetched(target)
        make_room(self.cache, self.capacity, keep=target)
        return copy

    def drop(self, filename: str) -> bool:
        (self.folder / filename).unlink(missing_ok=True)
        return True

    def _present(self, target: Path) -> Copy | None:
        try:
            file = target.open("rb")
        except FileNotFoundError:
            return None
        mark_used(file)
        return Copy(file, "disk")

    def _fetched(self, target: Path) -> Copy:
        """The file, opened before others see it: one that they drop at once is still read here."""
        partial = partial_of(target)
        try:
            tier = self._fetch(target.name, partial)
            with ExitStack() as stack:
                file = stack.enter_context(partial.open("rb"))
                partial.replace(target)
                stack.pop_all()
            return Copy(file, tier)
        finally:
            partial.unlink(missing_ok=True)

    def _fetch(self, filename: str, partial: Path) -> Tier:
        digest = shard_digest(filename)
        if self.redis is not None and digest is not None and self.redis.fetch(digest, partial):
            return "redis"
        try:
            key = layout.alignment(self.alignment_id, filename)
            found = self.store.get_file(key, partial, digest=digest_like(digest or ""))
        except ObjectMissing as error:
            raise AlignmentError(
                f"alignment {self.alignment_id} is no longer whole in the object store:"
                " delete its name and register the pair again",
                code="alignment_missing",
            ) from error
        if self.redis is not None and digest == found:  # what is damaged is not handed on
            self.redis.keep(digest, partial)
        return "store"
