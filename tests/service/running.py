"""The whole service as processes: API and worker on a real Valkey, on a folder or on S3."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from core.store.settings import S3Settings, StoreSettings
from tests.servers import free_ports
from tests.worker.making import GOLDEN

START_SECONDS = 120
DESTINATIONS = ["s3://results/{tenant}/"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A running service, and a client that speaks to it."""

    client: httpx2.Client
    store: StoreSettings
    log: Path

    def register(self, name: str, base: Path, aligned: Path, **fields: Any) -> Json:
        """Register a pair and wait until it is built or failed."""
        body = {"name": name, "base": str(base), "aligned": str(aligned), **fields}
        self.client.post("/v1/alignments", json=body).raise_for_status()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            record: Json = self.client.get(f"/v1/alignments/{name}").json()
            if record["state"] != "building":
                return record
            time.sleep(0.1)
        raise AssertionError(f"alignment {name} was not built: {self.log.read_text()[-2000:]}")

    def post(self, files: Mapping[str, bytes] | None = None, **fields: str) -> httpx2.Response:
        """Post an adapter: the golden one unless files by part name are given."""
        parts = files if files is not None else golden_parts()
        form = {"alignment": "tiny", **fields}
        return self.client.post(
            "/v1/jobs",
            data=form,
            files={name: (f"{name}.bin", data) for name, data in parts.items()},
        )

    def wait(self, accepted: httpx2.Response) -> Json:
        """The job, once it has ended."""
        assert accepted.status_code in (200, 202), accepted.text
        url = f"/v1/jobs/{accepted.json()['id']}"
        for _ in range(6):
            job: Json = self.client.get(url, params={"wait": "20"}, timeout=40.0).json()
            if job["state"] not in ("queued", "running"):
                return job
        raise AssertionError(f"{url} did not end: {self.log.read_text()[-2000:]}")


def golden_parts() -> dict[str, bytes]:
    adapter = GOLDEN / "adapter"
    return {
        "adapter": (adapter / "adapter_model.safetensors").read_bytes(),
        "config": (adapter / "adapter_config.json").read_bytes(),
    }


@contextmanager
def running_service(
    store: StoreSettings,
    redis_url: str,
    folder: Path,
    *,
    s3_allow: list[str],
    roots: list[Path],
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    courier: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """API and worker as processes of their own, stopped at the end. `settings`: more of them, as
    variables. `courier`: one is started too, with these beside them."""
    port = port or free_ports(1)[0]
    environment = {
        **os.environ,
        **store_environment(store),
        "SAFELORA_REDIS__URL": redis_url,
        "SAFELORA_QUEUE__NAME": f"service-{port}",
        "SAFELORA_ALIGNMENTS__CACHE": str(folder / "alignments"),
        "SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(root) for root in roots]),
        "SAFELORA_SOURCES__S3_ALLOW": json.dumps(s3_allow),
        "SAFELORA_DESTINATIONS__S3_ALLOW": json.dumps(DESTINATIONS if s3_allow else []),
        "SAFELORA_SCRATCH": str(folder / "scratch"),
        **(settings or {}),
    }
    log = folder / "service.log"
    commands: list[tuple[list[str], Mapping[str, str]]] = [
        (["app.cli", "serve", "--port", str(port)], {}),
        (["worker", "run"], {}),
    ]
    if courier is not None:
        commands.append((["worker", "courier"], courier))
    with log.open("ab") as output:
        parts = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**environment, **own},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            for command, own in commands
        ]
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                wait_until_ready(client, log)
                yield Running(client, store, log)
        finally:
            for part in parts:
                part.terminate()
            for part in parts:
                part.wait(30)


def wait_until_ready(client: httpx2.Client, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the API did not get ready: {log.read_text()[-2000:]}")


def store_environment(store: StoreSettings) -> dict[str, str]:
    if store.s3 is None:
        return {"SAFELORA_STORE__PATH": str(store.path)}
    return {"SAFELORA_STORE__KIND": "s3", **_s3_environment(store.s3)}


def _s3_environment(s3: S3Settings) -> dict[str, str]:
    assert s3.access_key_id is not None
    assert s3.secret_access_key is not None
    fields = {
        "BUCKET": s3.bucket,
        "PREFIX": s3.prefix,
        "ENDPOINT_URL": s3.endpoint_url or "",
        "ACCESS_KEY_ID": s3.access_key_id,
        "SECRET_ACCESS_KEY": s3.secret_access_key.get_secret_value(),
    }
    own = {f"SAFELORA_STORE__S3__{name}": value for name, value in fields.items()}
    others = {
        f"SAFELORA_{section}__S3__{name}": fields[name]
        for section in ("SOURCES", "DESTINATIONS")
        for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    }
    return {**own, **others}
