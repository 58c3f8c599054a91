"""A process of its own that loads an alignment: `python -m … STORE CACHE ID SECONDS`.

Says `ready` and waits for a line before it starts; then a line for each file that it asks the store
for, which takes SECONDS; then `done`.
"""

import sys
from pathlib import Path
from typing import BinaryIO

import torch

from core.store.local import LocalStore
from tests.worker.alignment.tiers.making import NO_BOUND, CountingStore, load_all
from worker.alignment.tiers import DiskTier, ModuleLoader, RamTier, read_manifest


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class TalkingStore(CountingStore):
    def open(self, key: str) -> BinaryIO:
        say(key.rpartition("/")[2])
        return super().open(key)


def main(store: str, cache: str, alignment_id: str, seconds: str) -> None:
    talking = TalkingStore(Path(store), seconds=float(seconds))
    quiet = DiskTier(Path(cache), LocalStore(Path(store)), alignment_id, capacity=NO_BOUND)
    manifest = read_manifest(quiet)
    files = DiskTier(Path(cache), talking, alignment_id, capacity=NO_BOUND)
    say("ready")
    sys.stdin.readline()
    load_all(ModuleLoader(manifest, files, RamTier(0), torch.device("cpu")))
    say("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
