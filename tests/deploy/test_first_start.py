"""What is made at a gate's first start: passwords, a bucket, keys."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE
from types import SimpleNamespace
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from core.attestation.keys import SigningKey
from core.attestation.published import PublishedKeys
from core.keys import Keys
from core.scopes import SCOPES
from core.store import open_store
from core.store.settings import StoreSettings
from deploy.image.first_start import main as first_start_here
from deploy.image.make_secrets import make
from tests.deploy.reading import ROOT, SETTINGS, secrets
from tests.servers import SeaweedServer, ValkeyServer
from tests.service.running import store_environment


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """Another start changes nothing, another gate has others, and they are their owner's alone."""
    assert make(tmp_path / "one")
    first = files(tmp_path / "one")
    assert not make(tmp_path / "one")
    assert files(tmp_path / "one") == first
    make(tmp_path / "two")
    other = files(tmp_path / "two")
    assert {name for name in first if first[name] == other[name]} == {
        "gate/SAFELORA_STORE__S3__ACCESS_KEY_ID",
        "setup/SAFELORA_STORE__S3__ACCESS_KEY_ID",
        "setup/made",
    }
    modes = {
        S_IMODE(path.stat().st_mode) for path in (tmp_path / "one").rglob("*") if path.is_file()
    }
    assert modes == {0o600}


def test_a_start_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    """What was made by half is made anew, as nothing has used it yet."""
    make(tmp_path)
    (tmp_path / "setup" / "made").unlink()
    (tmp_path / "store" / "s3.json").unlink()
    assert make(tmp_path)
    assert (tmp_path / "store" / "s3.json").exists()


def test_they_are_the_secrets_of_the_example(tmp_path: Path) -> None:
    """`kubectl create secret --from-file` of each folder is what the manifests name."""
    make(tmp_path)
    made = {
        f"safelora-{folder.name}": {path.name for path in folder.iterdir()} - {"made"}
        for folder in tmp_path.iterdir()
    }
    example = {name: set(held) for name, held in secrets().items()}
    assert made == {name: example[name] for name in made}
    assert {n for held in made.values() for n in held if n.startswith("SAFELORA_")} <= SETTINGS


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[ValkeyServer]:
    make(tmp_path)
    server = ValkeyServer("--aclfile", str(tmp_path / "redis" / "queue.acl"))
    server._is_ready = lambda: _pings(server)  # type: ignore[method-assign]
    with server:
        yield server


def _pings(server: ValkeyServer) -> bool:
    try:
        with Redis.from_url(server.url) as client:
            return bool(client.ping())
    except AuthenticationError:
        return True
    except RedisError:
        return False


def test_the_queue_lets_in_whom_it_should(guarded: ValkeyServer, tmp_path: Path) -> None:
    """The gate by its URL; a probe to ping and no more; nobody else."""
    url = (tmp_path / "gate" / "SAFELORA_REDIS__URL").read_text()
    with Redis.from_url(url.replace("queue:6379", f"127.0.0.1:{guarded.port}")) as gate:
        assert gate.set("x", "1")
    with Redis.from_url(guarded.url) as nobody, pytest.raises(AuthenticationError):
        nobody.get("x")
    with Redis.from_url(guarded.url, username="probe", password="") as probe:
        assert probe.execute_command("PING")
        with pytest.raises(NoPermissionError):
            probe.get("x")


def first_start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "image" / "first_start.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_first_start_makes_what_a_gate_needs(seaweed: SeaweedServer, tmp_path: Path) -> None:
    """Its bucket, a key of its operator, and the signing key for all to see; once."""
    s3 = seaweed.settings().model_copy(update={"bucket": f"first-{uuid4().hex[:8]}"})
    settings = StoreSettings(kind="s3", s3=s3)
    make(tmp_path)
    key_file = tmp_path / "signing" / "key.pem"
    environment = {**store_environment(settings), "SAFELORA_ATTESTATION__KEY": str(key_file)}
    done = first_start(environment)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("key:")]
    text = line.split()[1]
    store = open_store(settings)
    record = Keys(store).get(text.split("_")[1])
    assert record is not None
    assert set(record.scopes) == set(SCOPES)
    [published] = PublishedKeys(store).all()
    assert published.kid == SigningKey.load(key_file).public.id
    again = first_start(environment)
    assert again.returncode == 0, again.stderr
    assert "slg_" not in again.stdout
    assert len(list(Keys(store).ids())) == 1
    store.close()


def test_a_store_that_does_not_answer_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As long as there is patience; then it is told in one line."""
    server = SeaweedServer()  # not started
    settings = StoreSettings(kind="s3", s3=server.settings())
    monkeypatch.setenv("SAFELORA_STORE__S3__MAX_ATTEMPTS", "1")
    for name, text in store_environment(settings).items():
        monkeypatch.setenv(name, text)
    tries: list[float] = []
    clock = SimpleNamespace(sleep=tries.append, monotonic=lambda: 30.0 * len(tries))
    monkeypatch.setattr("deploy.image.first_start.time", clock)
    assert first_start_here() == 1
    assert len(tries) == 3
    assert capsys.readouterr().err.startswith("error [store_")


def test_a_wrong_setting_is_told(tmp_path: Path) -> None:
    """In one line, without a traceback, for who reads a container's log."""
    done = first_start({"SAFELORA_STORE__KIND": "s3", "SAFELORA_SCRATCH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("error [settings_invalid]: SAFELORA_STORE")
    assert "Traceback" not in done.stderr
