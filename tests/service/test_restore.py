"""A gate is made again from a copy of its store and a few files, as docs/operations.md has it: on
another machine, without the Redis of the first."""

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from core.keys import Keys
from core.scopes import JOBS
from core.store import open_store
from core.store.settings import StoreSettings
from safelora import Gate, RequestRefused
from tests.docs.serving import child
from tests.servers import SeaweedServer
from tests.service.running import store_environment
from tests.service.up import key_in, up, url_in
from tests.worker.making import GOLDEN

BESIDE = ("keys.json", "signing-key.pem")
"""What of a gate is not in its store."""
ADAPTER = GOLDEN / "adapter"


@dataclass(frozen=True)
class Place:
    """The folder of a gate, and its store."""

    data: Path
    store: StoreSettings

    @property
    def environment(self) -> dict[str, str]:
        return {} if self.store.kind == "local" else store_environment(self.store)


@pytest.fixture(params=["local", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, Place]:
    """Of the first gate, and of the one that is made of the copy."""

    def place(name: str) -> Place:
        data = tmp_path / name
        if request.param == "local":
            return Place(data, StoreSettings(path=data / "store"))
        seaweed: SeaweedServer = request.getfixturevalue("seaweed")
        s3 = seaweed.settings(prefix=uuid4().hex)
        return Place(data, StoreSettings(kind="s3", s3=s3))

    return place("first"), place("second")


def copy(source: StoreSettings, target: StoreSettings) -> None:
    """Every object under its key, and nothing else of it: as any tool does."""
    here, there = open_store(source), open_store(target)
    for key in here.list(""):
        there.put(key, here.get(key))
    here.close()
    there.close()


def bytes_of(gate: Gate, job: str, folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in gate.download(job, folder)}


def test_a_copy_of_the_store_is_the_gate(places: tuple[Place, Place], tmp_path: Path) -> None:
    """What had ended gives out the same bytes, what waited is done, keys are good; what came after
    the copy is lost, a key that was revoked after it is good again."""
    first, second = places
    roots = ("--checkpoints", str(GOLDEN))
    with up(first.data, *roots, environment=first.environment) as (process, said):
        key, worker = key_in(said), child(process.pid, "run")
        with Gate(url_in(said), key) as gate:
            pair = (str(GOLDEN / "base"), str(GOLDEN / "aligned"))
            gate.wait_for_alignment(gate.register("tiny", *pair))
            ended = gate.wait(gate.submit(ADAPTER, alignment="tiny")).id
            before = bytes_of(gate, ended, tmp_path / "before")
            os.kill(worker, signal.SIGSTOP)
            waiting = gate.submit(ADAPTER, alignment="tiny", policy={"selection": {"mode": "all"}})
            keys = Keys(open_store(first.store))
            revoked = keys.create("default", [JOBS], None)
            second.data.mkdir()
            for name in BESIDE:
                shutil.copy(first.data / name, second.data)
            copy(first.store, second.store)
            keys.revoke(revoked.record)
            lost = gate.submit(ADAPTER, alignment="tiny", policy={"selection": {"mode": "none"}})
            os.kill(worker, signal.SIGCONT)
    with up(second.data, environment=second.environment) as (_, said):
        with Gate(url_in(said), key) as gate:
            assert bytes_of(gate, ended, tmp_path / "after") == before
            assert gate.wait(waiting.id, timeout=60).verdict == "projected"
            with pytest.raises(RequestRefused) as refused:
                gate.job(lost.id)
            assert refused.value.code == "job_not_found"
        with Gate(url_in(said), revoked.text) as gate:
            assert gate.job(ended).state == "succeeded"
