"""`safelora-gate keys`, and gates as processes: keys made in a terminal hold at the door."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from app.access.keyring import SECONDS
from app.cli import cli
from core.keys import Keys
from core.scopes import SCOPES
from core.store import layout, open_store
from core.store.base import ObjectStore
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer, free_ports
from tests.service.running import store_environment
from tests.service.up import up

DONE, FAILED, WRONG_ARGUMENTS = 0, 1, 2
START_SECONDS = 60.0


@dataclass(frozen=True)
class Terminal:
    """Commands in one environment."""

    environment: dict[str, str]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=self.environment)

    def keys(self, *arguments: str) -> Result:
        return self.run("keys", *arguments)

    def create(self, *arguments: str) -> dict[str, Any]:
        done = self.keys("create", "--tenant", "acme", "--scope", "jobs", "--json", *arguments)
        assert done.exit_code == DONE, done.stderr
        return dict(json.loads(done.stdout))

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.keys("list", "--json", *arguments)
        assert done.exit_code == DONE, done.stderr
        return list(json.loads(done.stdout))


@pytest.fixture
def terminal(store_settings: StoreSettings, valkey: ValkeyServer, tmp_path: Path) -> Terminal:
    """On an empty store of each kind."""
    store = store_environment(store_settings)
    return Terminal(
        {
            **{name: text for name, text in store.items() if "SOURCES" not in name},
            "SAFELORA_REDIS__URL": valkey.url,
            "SAFELORA_SCRATCH": str(tmp_path / "scratch"),
            "SAFELORA_ACCESS__AUDIT_LOG": str(tmp_path / "audit.jsonl"),
        }
    )


@pytest.fixture
def local(valkey: ValkeyServer, tmp_path: Path) -> Terminal:
    """On an empty folder."""
    return Terminal(
        {
            "SAFELORA_STORE__PATH": str(tmp_path / "store"),
            "SAFELORA_REDIS__URL": valkey.url,
            "SAFELORA_SCRATCH": str(tmp_path / "scratch"),
            "SAFELORA_ACCESS__AUDIT_LOG": str(tmp_path / "audit.jsonl"),
        }
    )


@pytest.fixture
def kept(store_settings: StoreSettings, terminal: Terminal) -> Iterator[ObjectStore]:
    """The store that the terminal works on."""
    assert terminal
    store = open_store(store_settings)
    yield store
    store.close()


@contextmanager
def serving(terminal: Terminal, host: str, log: Path) -> Iterator[int]:
    """The port that a gate listens on."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "app.cli", "serve", "--host", host, "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **terminal.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Uvicorn running" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def status(port: int, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{port}/v1/jobs"
    return httpx2.get(url, headers=headers, trust_env=False).status_code


def status_within_the_seconds(port: int, key: str, wanted: int) -> bool:
    """Whether it comes to that before what is remembered is forgotten, and a bit."""
    deadline = time.monotonic() + SECONDS + 2
    while (found := status(port, key)) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return found == wanted


def audited(terminal: Terminal) -> list[dict[str, Any]]:
    text = Path(terminal.environment["SAFELORA_ACCESS__AUDIT_LOG"]).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_key_is_printed_once_and_alone(terminal: Terminal, kept: ObjectStore) -> None:
    """On stdout, for `KEY=$(…)`; what is said of it goes to stderr."""
    done = terminal.keys("create", "--tenant", "acme", "--scope", "jobs", "--scope", "alignments")
    assert done.exit_code == DONE, done.stderr
    assert re.fullmatch(r"slg_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", done.stdout)
    assert done.stdout.strip() not in done.stderr
    assert "for alignments, jobs, good for ever" in done.stderr
    [key_id] = Keys(kept).ids()
    assert key_id in done.stderr
    shown = terminal.keys("list").stdout
    assert key_id in shown
    assert "alignments, jobs" in shown
    assert done.stdout.strip().split("_", 2)[2] not in shown


def test_a_key_that_expires_says_when(terminal: Terminal) -> None:
    """As long after it was made as was asked for."""
    key = terminal.create("--expires-in", "90d")
    made, ends = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    assert ends - made == timedelta(days=90)
    assert terminal.create()["expires_at"] is None


def test_the_list_knows_how_each_key_fares(terminal: Terminal, kept: ObjectStore) -> None:
    """Active, expired or revoked; of all tenants or of one; hashes and keys are not in it."""
    active, expired, revoked = (terminal.create() for _ in range(3))
    record = Keys(kept).get(expired["id"])
    assert record is not None
    Keys(kept).replace(record, active["id"], datetime.fromisoformat(record.created_at))
    assert terminal.keys("revoke", revoked["id"]).exit_code == DONE
    Keys(kept).create("other", ["jobs"], None)
    listed = terminal.listed("--tenant", "acme")
    assert {key["id"]: key["state"] for key in listed} == {
        active["id"]: "active",
        expired["id"]: "expired",
        revoked["id"]: "revoked",
    }
    assert all("sha256" not in key and "key" not in key for key in listed)
    assert len(terminal.listed()) == 4


def test_a_damaged_record_is_named_and_the_others_are_listed(
    terminal: Terminal, kept: ObjectStore
) -> None:
    """Exit 1: somebody has to look."""
    good = terminal.create()
    kept.put(layout.access_key("0123456789ab"), b"{}")
    done = terminal.keys("list", "--json")
    assert done.exit_code == FAILED
    assert [key["id"] for key in json.loads(done.stdout)] == [good["id"]]
    assert "access/keys/0123456789ab.json" in done.stderr


def test_wrong_arguments_say_what_to_do(local: Terminal, tmp_path: Path) -> None:
    """Exit 2, and nothing is made."""
    create = ["create", "--tenant", "acme", "--scope", "jobs"]
    wrong = {
        "the scopes are": ["create", "--tenant", "acme", "--scope", "jobs", "--scope", "root"],
        "Missing option": ["create", "--tenant", "acme"],
        "--tenant takes": ["create", "--tenant", "../acme", "--scope", "jobs"],
        "--expires-in takes": [*create, "--expires-in", "soon"],
        "a hundred years": [*create, "--expires-in", "999999999w"],
        "as 90d": [*create, "--expires-in", "0d"],
        "safelora-gate keys list": ["revoke", "0123456789ab"],
        "there is no key": ["rotate", "\x1b[2J"],
        "--overlap takes": ["rotate", "0123456789ab", "--overlap", "-1h"],
        "is no folder of": [*create, "--data", str(tmp_path / "nowhere")],
    }
    for words, arguments in wrong.items():
        done = local.keys(*arguments)
        assert (done.exit_code, done.stdout) == (WRONG_ARGUMENTS, ""), done.stderr
        assert words in done.stderr
        assert "\x1b[2J" not in done.stderr
    refused = local.keys("create", "--tenant", "acme", "--scope", "root").stderr
    assert all(scope in refused and allowed in refused for scope, allowed in SCOPES.items())
    assert local.listed() == []


def test_a_store_that_fails_is_no_wrong_argument(local: Terminal, tmp_path: Path) -> None:
    """Exit 1, with the reason."""
    (tmp_path / "store").write_text("a file")
    done = local.keys("create", "--tenant", "acme", "--scope", "jobs")
    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert "store_unavailable" in done.stderr


def test_an_audit_log_that_cannot_be_written_stops_all(local: Terminal, tmp_path: Path) -> None:
    """No key is made unseen, and no gate starts."""
    terminal = Terminal(local.environment | {"SAFELORA_ACCESS__AUDIT_LOG": str(tmp_path)})
    for arguments in (["keys", "create", "--tenant", "acme", "--scope", "jobs"], ["serve"]):
        done = terminal.run(*arguments)
        assert done.exit_code == WRONG_ARGUMENTS
        assert done.stderr.startswith("error [settings_invalid]: SAFELORA_ACCESS__AUDIT_LOG: ")
    assert local.listed() == []


def test_what_is_done_to_keys_is_audited(terminal: Terminal) -> None:
    """Made, rotated, revoked: whose, which, and by which user of the machine."""
    old = terminal.create()
    new = json.loads(terminal.keys("rotate", old["id"], "--json").stdout)
    terminal.keys("revoke", old["id"])
    lines = audited(terminal)
    own = {"tenant": "acme", "uid": os.getuid()}
    assert [{name: line[name] for name in line if name != "at"} for line in lines] == [
        {"action": "keys.create", "key": old["id"], **own},
        {"action": "keys.rotate", "key": old["id"], "new_key": new["id"], **own},
        {"action": "keys.revoke", "key": old["id"], **own},
    ]
    assert old["key"] not in json.dumps(lines)


def test_rotation_with_an_overlap(terminal: Terminal, tmp_path: Path) -> None:
    """Both keys are good until it is over, the new one after it; same tenant, same scopes; what is
    good no more is not rotated."""
    old = terminal.create("--scope", "alignments", "--expires-in", "30d")
    with serving(terminal, "127.0.0.1", tmp_path / "log") as port:
        done = terminal.keys("rotate", old["id"], "--overlap", "1h", "--json")
        assert done.exit_code == DONE, done.stderr
        new = json.loads(done.stdout)
        assert (new["tenant"], new["scopes"]) == ("acme", ["alignments", "jobs"])
        made, ends = (datetime.fromisoformat(new[name]) for name in ("created_at", "expires_at"))
        assert ends - made == timedelta(days=30)
        over = datetime.fromisoformat(new["replaces"]["expires_at"])
        assert timedelta(minutes=59) < over - made < timedelta(minutes=61)
        assert [status(port, key["key"]) for key in (old, new)] == [200, 200]
        twice = terminal.keys("rotate", old["id"])
        assert (twice.exit_code, twice.stdout) == (WRONG_ARGUMENTS, "")
        assert f"was rotated to {new['id']} before" in twice.stderr
        assert terminal.keys("rotate", new["id"], "--overlap", "0s").exit_code == DONE
        assert status_within_the_seconds(port, new["key"], 401)
        assert status(port, old["key"]) == 200
    again = terminal.keys("rotate", new["id"])
    assert again.exit_code == WRONG_ARGUMENTS
    assert "is expired" in again.stderr


def test_a_gate_with_keys_in_the_store_alone(terminal: Terminal, tmp_path: Path) -> None:
    """It may listen to others; a key made or revoked while it runs holds within seconds."""
    refused = terminal.run("serve", "--host", "0.0.0.0")
    assert refused.exit_code == WRONG_ARGUMENTS
    assert "safelora-gate keys create" in refused.stderr.replace("\n", " ")
    first = terminal.create()
    with serving(terminal, "0.0.0.0", tmp_path / "log") as port:
        assert [status(port, key) for key in (first["key"], "wrong")] == [200, 401]
        second = terminal.create()
        assert status(port, second["key"]) == 200
        assert terminal.keys("revoke", first["id"]).exit_code == DONE
        assert status_within_the_seconds(port, first["key"], 401)
        assert terminal.keys("revoke", second["id"]).exit_code == DONE
        assert status_within_the_seconds(port, second["key"], 401)
        host = {"Host": "gate.example"}
        url = f"http://127.0.0.1:{port}/livez"
        assert httpx2.get(url, headers=host, trust_env=False).status_code == 200


def answer(port: int, request: bytes) -> bytes:
    """What comes back for these very bytes, to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # it was closed with bytes of the request unread
    return received


def test_no_bytes_get_past_the_door(local: Terminal, tmp_path: Path) -> None:
    """Requests that a client library would not send, as they reach a real server."""
    key = local.create()["key"].encode()
    host = b"Connection: close\r\nHost: localhost\r\n"
    bearer = b"Authorization: Bearer " + key + b"\r\n"
    wrong = b"Authorization: Bearer slg_0123456789ab_" + b"x" * 43 + b"\r\n"
    job = b"GET /v1/jobs HTTP/1.1\r\n"
    refused = [
        job + host,
        job + host + bearer + wrong,
        job + host + wrong + bearer,
        job + host + bearer + bearer,
        job + host + b"Authorization : Bearer " + key + b"\r\n",
        job + host + bearer + b"X: y\n" + wrong,  # a line of its own for this server
        job + host + b"Authorization: Bearer " + key + b"\x00\r\n",
        job + host + b"Authorization: Bearer \xff\xfe" + key + b"\r\n",
        job + host + b"Authorization: Bearer " + b"x" * 1_000_000 + b"\r\n",
        b"GET /livez/../v1/jobs HTTP/1.1\r\n" + host,
        b"GET //livez HTTP/1.1\r\n" + host,
        b"GET /livez%2f..%2fv1/jobs HTTP/1.1\r\n" + host,
        b"GET http://localhost/livez/../v1/jobs HTTP/1.1\r\n" + host,
        b"GET http://localhost/livez HTTP/1.1\r\n" + host,
        b"GET *  HTTP/1.1\r\n" + host,
        b"GET /v1/jobs#/livez HTTP/1.1\r\n" + host,
        b"GET /v1/jobs?/livez HTTP/1.1\r\n" + host,
        b"GET /v1/jobs HTTP/1.0\r\n",
        job + host + b"X-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /livez\r\n",
    ]
    with serving(local, "127.0.0.1", tmp_path / "log") as port:
        good = job + host + b"aUTHORIZATION:   bEARER   " + key + b"  \r\n\r\n"
        assert answer(port, good).startswith(b"HTTP/1.1 200 ")
        for request in refused:
            head = answer(port, request + b"\r\n")[:13]
            # Nothing at all: the connection was closed while a giant was still being sent.
            expected = (b"HTTP/1.1 401 ", b"HTTP/1.1 400 ", b"")
            assert head in expected, request[:80]
        assert answer(port, good).startswith(b"HTTP/1.1 200 ")
    log = (tmp_path / "log").read_text() + (tmp_path / "audit.jsonl").read_text()
    assert key.decode() not in log


def test_keys_of_what_up_keeps(local: Terminal, tmp_path: Path) -> None:
    """`--data` names the store of `up`, and its audit log, whatever the environment says of other
    ones: a key is good at once where `up` runs."""
    data = tmp_path / "var"
    terminal = Terminal(
        {name: text for name, text in local.environment.items() if "AUDIT_LOG" not in name}
    )
    with up(data) as (_, said):
        port = int(re.findall(r"ready at http://127.0.0.1:(\d+)", said)[0])
        key = terminal.create("--data", str(data))
        assert status(port, key["key"]) == 200
        assert status(port, "wrong") == 401
        assert [kept["id"] for kept in terminal.listed("--data", str(data))] == [key["id"]]
    assert terminal.listed() == []
    lines = (data / "logs" / "audit.jsonl").read_text().splitlines()
    actions = [json.loads(line)["action"] for line in lines]
    assert actions == ["keys.create", "jobs.read"]
