"""What the stack is made of: the two servers, and the service's own processes."""

import os
import random
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.settings import PREFIX
from core.store.settings import S3Settings
from tests.servers import SeaweedServer, ValkeyServer

VALKEY, SEAWEED, COURIER = "valkey", "seaweed", "courier"
APIS = ("api-1", "api-2")
WORKERS = ("worker-1", "worker-2")
KINDS = (VALKEY, SEAWEED, "api", "worker", COURIER)
_LOWEST_PORT = 10_000


@dataclass(frozen=True)
class Part:
    """One process: `name` is its kind, and a number where there are several of that kind."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


class Valkey(ValkeyServer):
    """Each write is on disk before it is acknowledged; what was written outlives the process."""

    def __init__(self) -> None:
        super().__init__("--appendonly", "yes", "--appendfsync", "always")
        (self.port,) = steady_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self, folder: Path) -> list[str]:
        folder.mkdir(parents=True)
        return self._command(folder)

    def is_ready(self) -> bool:
        return self._is_ready()


class Seaweed(SeaweedServer):
    """Started again by the same command, it has the data that it had."""

    def __init__(self) -> None:
        super().__init__()
        self._ports = dict(zip(self._PORTS, steady_ports(len(self._PORTS)), strict=True))
        self.port = self._ports["s3.port"]
        self.endpoint_url = f"http://127.0.0.1:{self.port}"

    def command(self, folder: Path) -> list[str]:
        folder.mkdir(parents=True)
        return self._command(folder)

    def environment(self) -> Mapping[str, str]:
        return self._environment()

    def is_ready(self) -> bool:
        return self._is_ready()

    def remove_sockets(self) -> None:
        """It leaves them in /tmp, whatever TMPDIR says."""
        for port in self._ports.values():
            for leftover in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                leftover.unlink()


def steady_ports(count: int) -> list[int]:
    """Free ports that no outgoing connection is given while their server is down."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    wanted = [*range(_LOWEST_PORT, first), *range(last + 1, 1 << 16)]
    random.shuffle(wanted)
    with ExitStack() as held:
        sockets = []
        for port in wanted:
            try:
                sockets.append(held.enter_context(socket.create_server(("127.0.0.1", port))))
            except OSError:
                continue
            if len(sockets) == count:
                break
        return [listener.getsockname()[1] for listener in sockets]


def service_environment(store: S3Settings, redis_url: str) -> dict[str, str]:
    """Of every process of the service; no setting of the caller's own shell is among it."""
    secret = store.secret_access_key
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        "OMP_NUM_THREADS": "1",
        "SAFELORA_WORKER__THREADS": "1",
        "SAFELORA_ALIGNMENTS__RAM_BYTES": "0",  # each job reads the copies on its disk
        "SAFELORA_REDIS__URL": redis_url,
        "SAFELORA_STORE__KIND": "s3",
        "SAFELORA_STORE__S3__BUCKET": store.bucket,
        "SAFELORA_STORE__S3__ENDPOINT_URL": store.endpoint_url or "",
        "SAFELORA_STORE__S3__ACCESS_KEY_ID": store.access_key_id or "",
        "SAFELORA_STORE__S3__SECRET_ACCESS_KEY": secret.get_secret_value() if secret else "",
    }


def service_commands(
    ports: Mapping[str, int], workers: Sequence[str] = WORKERS
) -> dict[str, list[str]]:
    """The command of each of the service's processes; `ports` are the APIs'."""
    python = [sys.executable, "-m"]
    return {
        **{api: [*python, "app.cli", "serve", "--port", str(ports[api])] for api in APIS},
        **{worker: [*python, "worker", "run"] for worker in workers},
        COURIER: [*python, "worker", "courier"],
    }


def own_folders(name: str, folder: Path) -> dict[str, str]:
    """The settings by which a process keeps its files to itself."""
    return {
        "SAFELORA_ALIGNMENTS__CACHE": str(cache_of(name, folder)),
        "SAFELORA_SCRATCH": str(folder / name / "scratch"),
    }


def cache_of(name: str, folder: Path) -> Path:
    return folder / name / "alignments"
