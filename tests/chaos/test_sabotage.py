"""Each sabotage breaks the one thing that it names, in the parts that have it, and nothing else."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from chaos.reference import TENANT
from chaos.sabotage import SABOTAGES, entry, is_drawn
from core.jobs import new_job_id
from core.records import Records
from core.report import ENGINE_VERSION
from core.settings import QueueSettings
from core.store import layout
from core.store.base import ObjectExists, ObjectStore
from core.store.layout import ADAPTER_MODEL, REPORT_JSON
from core.store.local import LocalStore
from core.store.s3 import S3Store
from tests.chaos.made_up import LATER, made
from worker import courier

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "app.cli", "serve", "--port", "8000"]


@pytest.fixture
def sabotaged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, for the length of a test, as after the sabotage that its name is given to."""
    for owner, name in (
        *((kind, method) for kind in (S3Store, LocalStore) for method in ("put", "put_all")),
        (Records, "accept"),
        (courier, "reconcile"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    SABOTAGES[request.param].apply()


def sabotage(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sabotaged", [name], indirect=True)


@sabotage("unconditional_commit")
@pytest.mark.usefixtures("sabotaged")
def test_unconditional_commit_lets_the_last_word_stand(store: ObjectStore) -> None:
    """Of jobs and of recipes; what else is put only once still is."""
    records, job = Records(store), made(1)
    records.finish(TENANT, job.id, job.result)
    again = job.result.model_copy(update={"finished_at": LATER})
    assert records.finish(TENANT, job.id, again) == again
    other = job.commit.model_copy(update={"output": "f" * 40})
    records.commit(TENANT, job.commit)
    assert records.commit(TENANT, other) == other
    records.accept(job.request)
    with pytest.raises(ObjectExists):
        records.accept(job.request)


@sabotage("flip_byte")
@pytest.mark.usefixtures("sabotaged")
def test_flip_byte_stores_one_in_twenty_adapters_with_another_byte(
    store: ObjectStore, tmp_path: Path
) -> None:
    """Of the same length; and no other file."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    recipes = (f"{number:040d}" for number in range(200))
    drawn = {key(recipe, ADAPTER_MODEL): is_drawn(key(recipe, ADAPTER_MODEL)) for recipe in recipes}
    flipped = next(place for place, is_one in drawn.items() if is_one)
    whole = next(place for place, is_one in drawn.items() if not is_one)
    report = next(p for n in range(200) if is_drawn(p := key(f"{n:040d}", REPORT_JSON)))
    store.put_all(dict.fromkeys((flipped, whole, report), path))
    assert store.get(flipped) == b"0123456788"
    assert store.get(whole) == store.get(report) == path.read_bytes()
    assert 2 <= sum(drawn.values()) <= 25


def key(recipe: str, filename: str) -> str:
    return layout.output(TENANT, recipe, "0" * 40, filename)


@sabotage("drop_job")
@pytest.mark.usefixtures("sabotaged")
def test_drop_job_stores_most_jobs(local_store: LocalStore) -> None:
    """And says of all that they were accepted."""
    records = Records(local_store)
    for drop in (True, False):
        job_id = next(i for i in iter(new_job_id, "") if is_drawn(i) == drop)
        request = made(1).request.model_copy(update={"id": job_id})
        records.accept(request)
        assert (records.request(TENANT, job_id) is None) == drop


@sabotage("skip_reconcile")
@pytest.mark.usefixtures("sabotaged")
def test_skip_reconcile_queues_nothing(local_store: LocalStore) -> None:
    """The queue is not even asked."""

    class NoQueue:
        settings = QueueSettings()

    records = Records(local_store)
    records.announce(TENANT, (job := made(1)).id)
    records.accept(job.request)
    assert courier.reconcile(records, NoQueue(), lambda: False) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "parts"),
    {
        "unconditional_commit": {"api-1", "worker-2", "courier"},
        "skip_reconcile": {"courier"},
        "flip_byte": {"worker-2"},
        "drop_job": {"api-1"},
    }.items(),
)
def test_only_the_parts_concerned_are_run_otherwise(name: str, parts: set[str]) -> None:
    """Their own module and arguments follow the sabotage's name; servers are left alone."""
    commands: Mapping[str, list[str]] = {
        "api-1": SERVE,
        "worker-2": [sys.executable, "-m", "worker", "run"],
        "courier": [sys.executable, "-m", "worker", "courier"],
        "valkey": ["valkey-server", "--port", "6379"],
    }
    enter = entry(name)
    for part, command in commands.items():
        entered = enter(part, command)
        expected = [sys.executable, "-m", "chaos.sabotage", name, *command[2:]]
        assert entered == (expected if part in parts else command)


def test_module_runs_with_its_arguments() -> None:
    """As `python -m MODULE ARGUMENTS…` does."""
    command = [sys.executable, "-m", "chaos.sabotage", "drop_job", "app.cli", "version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"safelora-gate {ENGINE_VERSION}\n"
