"""The tests' own servers: what other tests take for granted."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.servers import ServerFailed, ValkeyServer, free_ports


def test_valkey_answers(valkey: ValkeyServer) -> None:
    """The server is there when the fixture is, and keeps nothing on disk."""
    with Redis.from_url(valkey.url) as client:
        assert client.set("a", "1")
        assert client.get("a") == b"1"
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_a_stopped_server_is_gone_and_starts_again_empty() -> None:
    """Stopping frees the port and forgets the data; the address stays the same."""
    with ValkeyServer() as server, Redis.from_url(server.url) as client:
        client.set("a", "1")
        server.stop()
        with pytest.raises(RedisConnectionError):
            client.ping()
        server.start()
        assert client.get("a") is None


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="Linux alone has it so")
def test_a_server_does_not_outlive_its_tests() -> None:
    """However these end."""
    code = "from tests.servers import ValkeyServer as V; v = V(); v.start(); print(v.port); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        port = int(tests.stdout.readline())
        with Redis(port=port) as client:
            assert client.ping()
            tests.kill()
            with pytest.raises(RedisConnectionError):
                client.blpop(["nothing"], timeout=20)


def test_a_server_that_fails_shows_its_log() -> None:
    """The log's last words come with the error."""
    with pytest.raises(ServerFailed, match="no-such-flag"):
        ValkeyServer("--no-such-flag", "x").start()


def test_free_ports_are_different_and_free() -> None:
    """No port is given out twice, and each can be listened on."""
    ports = free_ports(20)

    assert len(set(ports)) == 20
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
