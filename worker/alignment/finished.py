"""The modules that a build has finished, kept so that one that was killed goes on from there."""

import os
from pathlib import Path

from pydantic import ValidationError

from core.alignments import ModuleEntry
from core.canonical import digest, pretty_json, sha256_hex
from core.model import Frozen
from core.store.files import sync_folder
from worker.alignment.naming import digest_of_file, shard_name
from worker.alignment.page_cache import let_go
from worker.alignment.pair import ModuleShape


class Finished(Frozen):
    """A module's entry, and the SHA-256 of its aligned weight's bytes."""

    entry: ModuleEntry
    weight_sha256: str


class _Kept(Frozen):
    """As it lies on disk, with its own digest: a norm that lost a bit is not believed."""

    finished: Finished
    digest: str


class FinishedModules:
    """A small JSON file a module, in the folder that its two shards lie in.

    Believes nothing: an entry counts while it is whole and both shards have the digest that they
    are named by. The folder must be of one build (`worker.alignment.workplace`): whether an entry
    belongs to the pair at hand cannot be seen here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, shape: ModuleShape) -> Finished | None:
        """The module, if it can be taken as it is. Reads both shards in full."""
        found = self._read(name)
        if found is None or found.entry.name != name:
            return None
        entry = found.entry
        kept = ModuleShape(entry.out_features, entry.in_features, entry.conv1d)
        shards = (entry.shard, entry.spectrum_shard)
        return found if kept == shape and all(map(self._is_whole, shards)) else None

    def add(self, finished: Finished) -> None:
        """Note the module as finished. Its shards lie in the folder already, whole."""
        path = self._path(finished.entry.name)
        partial = path.with_suffix(".part")
        dumped = finished.model_dump(mode="json", by_alias=True)
        partial.write_bytes(pretty_json({"finished": dumped, "digest": digest(dumped)}))
        rename_synced(partial, path)

    def _read(self, name: str) -> Finished | None:
        try:
            kept = _Kept.model_validate_json(self._path(name).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        own = digest(kept.finished.model_dump(mode="json", by_alias=True))
        return kept.finished if own == kept.digest else None

    def _is_whole(self, shard: str) -> bool:
        try:
            with (self.folder / shard).open("rb") as file:
                return shard == shard_name(digest_of_file(file))
        except (FileNotFoundError, IsADirectoryError):  # the folder itself where no shard is named
            return False

    def _path(self, name: str) -> Path:
        return self.folder / f"{sha256_hex(name.encode())}.json"  # a name may be a file's too long


def rename_synced(partial: Path, path: Path) -> None:
    """Give a file its name once its bytes are on the disk: after a power cut, all or nothing."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
        let_go(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
