"""Manifests of the alignments in use, kept in memory: they never change under their id."""

from collections import OrderedDict
from threading import Lock

from pydantic import ValidationError

from core.alignments import MANIFEST_FILE, Manifest
from core.errors import RecordUnreadable
from core.store import layout
from core.store.base import ObjectStore


class Manifests:
    """The last few that were asked for. Safe to share between threads."""

    def __init__(self, store: ObjectStore, *, capacity: int = 16) -> None:
        self._store = store
        self._capacity = capacity
        self._kept: OrderedDict[str, Manifest] = OrderedDict()
        self._lock = Lock()

    def get(self, alignment_id: str) -> Manifest:
        """Raises `StoreError`; `RecordUnreadable` if it is damaged or of another version."""
        with self._lock:
            if alignment_id in self._kept:
                self._kept.move_to_end(alignment_id)
                return self._kept[alignment_id]
        manifest = self._read(layout.alignment(alignment_id, MANIFEST_FILE))
        with self._lock:
            self._kept[alignment_id] = manifest
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return manifest

    def _read(self, key: str) -> Manifest:
        try:
            return Manifest.model_validate_json(self._store.get(key))
        except ValidationError as error:
            raise RecordUnreadable(
                f"{key} is no manifest of this version ({error.error_count()} problems):"
                " post the alignment's registration again, which builds it anew"
            ) from error
