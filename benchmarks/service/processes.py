"""A gate of its own: the API and its workers as processes."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx2

from benchmarks.service.made import Pair
from core.attestation.keeping import create_key
from core.attestation.published import PublishedKeys
from core.jobs import now
from core.store import open_store
from core.store.settings import StoreSettings
from tests.servers import free_ports
from tests.service.running import Running, store_environment, wait_until_ready

MIB = 2**20
LONG = 300.0  # seconds that a client waits for an answer


@dataclass
class Gate:
    """`port` and `key` are what a client needs."""

    port: int
    key: str
    client: httpx2.Client
    environment: Mapping[str, str]
    log: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        with self.log.open("ab") as output:
            self.processes[name] = subprocess.Popen(  # noqa: S603  (ourselves)
                [sys.executable, "-m", *command],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start_worker(self, name: str = "worker") -> None:
        self.start(name, "benchmarks.service.noop_worker")

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    def register(self, pair: Pair, folder: Path, store: StoreSettings) -> None:
        """Build the pair's alignment; returns once it is ready."""
        order = pair.save(folder)
        base, aligned = Path(str(order.pop("base"))), Path(str(order.pop("aligned")))
        name = str(order.pop("name"))
        record = Running(self.client, store, self.log).register(name, base, aligned, **order)
        if record["state"] != "ready":
            raise SystemExit(f"the alignment {name} was not built: {record}")
        os.sync()  # or what was written for it slows down the first jobs

    def memory(self, name: str) -> tuple[int, int]:
        """Bytes of the process that are resident now, and at most so far."""
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        now, peak = (int(fields[field].split()[0]) * 1024 for field in ("VmRSS", "VmHWM"))
        return now, peak

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used so far."""
        used = {}
        for name, process in self.processes.items():
            stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return used


@contextmanager
def open_gate(
    store: StoreSettings, redis_url: str, folder: Path, *, ram_bytes: int = 8 * 2**30
) -> Iterator[Gate]:
    """An API and one worker, which may keep `ram_bytes` of alignments; stopped at the end."""
    folder.mkdir()
    (port,) = free_ports(1)
    key = secrets.token_urlsafe(24)
    digest = sha256(key.encode()).hexdigest()
    signing_key = folder / "signing-key.pem"
    create_key(signing_key, PublishedKeys(open_store(store)), now())
    environment = {
        **os.environ,
        **store_environment(store),
        "SAFELORA_REDIS__URL": redis_url,
        "SAFELORA_QUEUE__NAME": folder.name,
        "SAFELORA_ALIGNMENTS__CACHE": str(folder / "alignments"),
        "SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(folder.parent)]),
        "SAFELORA_ALIGNMENTS__RAM_BYTES": str(ram_bytes),
        "SAFELORA_SCRATCH": str(folder / "scratch"),
        "SAFELORA_ATTESTATION__KEY": str(signing_key),
        "SAFELORA_LIMITS__UPLOADS": "128",
        "SAFELORA_ACCESS__KEYS": json.dumps(
            [{"id": "benchmark", "sha256": digest, "scopes": ["jobs", "alignments"]}]
        ),
    }
    log = folder / "log"
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}",
        trust_env=False,
        timeout=LONG,
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        gate = Gate(port, key, client, environment, log)
        try:
            gate.start("API", "benchmarks.service.noop", str(port))
            gate.start_worker()
            wait_until_ready(client, log)
            yield gate
        finally:
            for name in list(gate.processes):
                gate.stop(name)
