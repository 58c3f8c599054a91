"""A gate of its own: API and courier as processes, a store, a queue, and no worker."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from pydantic import SecretStr
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from app.access.callers import Caller
from app.intake.accept import accept
from app.intake.order import Order
from app.services import Services, open_services
from core.archives import UnpackedFile
from core.scopes import JOBS
from core.settings import QueueSettings, RedisSettings, Settings
from core.store import layout
from core.store.checks import TEMPORARY
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from core.store.settings import StoreSettings
from tests.app.gate import CONFIG, leave_alignment, weights_of
from tests.servers import free_ports
from tests.service.running import store_environment, wait_until_ready

TENANT = "default"
ALIGNMENT = "base"
ADAPTER_BYTES = 2**16
THREADS = 8  # that accept jobs while a queue is filled

_CALLER = Caller(TENANT, "benchmark", frozenset({JOBS}))


@dataclass(frozen=True)
class Gate:
    """`services`: the same store and queue as the API's. `processes`: their ids by name."""

    client: httpx2.Client
    services: Services
    processes: Mapping[str, int]

    def fill(self, count: int) -> None:
        """Accept that many jobs as the API does, each with bytes of its own."""
        with TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(self._accept, [Path(folder) / f"{n}" for n in range(count)]):
                pass

    def waiting(self) -> int:
        return self.services.queue.depth()

    def new_post(self) -> httpx2.Request:
        """A request for a new job, its body ready to be sent."""
        request = self.client.build_request(
            "POST",
            "/v1/jobs",
            files={"adapter": weights_of(os.urandom(ADAPTER_BYTES // 2).hex()), "config": CONFIG},
            data={"alignment": ALIGNMENT},
        )
        request.read()
        return request

    def take_off(self, job_id: str) -> None:
        """Leave nothing of a job that waits: mark and request first, or the courier queues it."""
        store, queue = self.services.store, self.services.queue
        self.services.records.forget_pending(TENANT, job_id)
        store.delete(layout.job_request(TENANT, job_id))
        for name in (ADAPTER_MODEL, ADAPTER_CONFIG):
            store.delete(layout.job_input(TENANT, job_id, name))
        try:
            Job.fetch(job_id, connection=queue.redis, serializer=JSONSerializer).delete()
        except NoSuchJobError as error:
            raise SystemExit(f"job {job_id} was accepted and is not on the queue") from error

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used so far."""
        return {name: _cpu_seconds(pid) for name, pid in self.processes.items()}

    def _accept(self, folder: Path) -> None:
        folder.mkdir()
        contents = {ADAPTER_MODEL: os.urandom(ADAPTER_BYTES), ADAPTER_CONFIG: CONFIG}
        files = {}
        for name, data in contents.items():
            path = folder / name
            path.write_bytes(data)
            files[name] = UnpackedFile(path, len(data), sha256(data).hexdigest())
        order = Order(ALIGNMENT, policy=None, metadata={}, files=files)
        accept(self.services, _CALLER, order, None, lambda: folder)
        shutil.rmtree(folder)


@contextmanager
def open_gate(name: str, store: StoreSettings, redis_url: str, folder: Path) -> Iterator[Gate]:
    """A gate whose queue has this name, ready, and stopped at the end."""
    folder.mkdir()
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        **store_environment(store),
        "SAFELORA_REDIS__URL": redis_url,
        "SAFELORA_QUEUE__NAME": name,
        "SAFELORA_SCRATCH": str(folder / "scratch"),
    }
    settings = Settings(
        store=store,
        redis=RedisSettings(url=SecretStr(redis_url)),
        queue=QueueSettings(name=name),
        scratch=folder / "own-scratch",
    )
    commands = {"API": ["app.cli", "serve", "--port", str(port)], "courier": ["worker", "courier"]}
    log = folder / "log"
    with (
        log.open("ab") as output,
        closing(open_services(settings)) as services,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        leave_alignment(services.records, ALIGNMENT)
        if store.kind == "local":
            _keep_folders(store.path)
        parts = {
            part: subprocess.Popen(  # noqa: S603  (ourselves)
                [sys.executable, "-m", *command],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            for part, command in commands.items()
        }
        try:
            wait_until_ready(client, log)
            yield Gate(client, services, {part: process.pid for part, process in parts.items()})
        finally:
            for process in parts.values():
                process.terminate()
            for process in parts.values():
                process.wait(30)


def _keep_folders(store: Path) -> None:
    """A folder goes with the last job in it. Having to make and sync it anew for each sample would
    slow the empty gate down, and flatter the deep one."""
    for prefix in (layout.jobs(TENANT), layout.all_pending(TENANT)):
        folder = store / prefix
        folder.mkdir(parents=True)
        (folder / TEMPORARY).touch()  # listed by no store


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11], fields[12]  # clock ticks
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
