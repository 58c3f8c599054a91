"""`python -m benchmarks.upload_memory [--gigabytes 2]`: an API process of its own, on SeaweedFS.

An adapter is made on the fly, and lies nowhere but in the store. The resident memory at its peak is
the kernel's word (VmHWM); each way in has a fresh API.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2

from benchmarks.upload_memory.made import CONFIG, Adapter, form, form_size
from benchmarks.upload_memory.refusal import read_before_refusal
from core.records import Records
from core.store import open_store
from core.store.settings import S3Settings, StoreSettings
from tests.app.gate import leave_alignment
from tests.servers import SeaweedServer, ValkeyServer, free_ports
from tests.service.running import store_environment, wait_until_ready

_PATIENCE = 3600.0


@contextlib.contextmanager
def running_api(store: S3Settings, redis_url: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of an API with nothing done yet."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        **store_environment(StoreSettings(kind="s3", s3=store)),
        "SAFELORA_REDIS__URL": redis_url,
        "SAFELORA_SCRATCH": str(folder / "scratch"),
    }
    log = folder / f"api-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  (a command of our own)
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until_ready(client, log)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def by_multipart(client: httpx2.Client, adapter: Adapter) -> httpx2.Response:
    boundary = uuid4().hex
    return client.post(
        "/v1/jobs",
        content=form(adapter, boundary),
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(form_size(adapter, boundary)),
        },
    )


def by_signed_urls(client: httpx2.Client, adapter: Adapter) -> httpx2.Response:
    files = {"adapter_model.safetensors": adapter.size, "adapter_config.json": len(CONFIG)}
    body = {"files": [{"name": name, "size": size} for name, size in files.items()]}
    upload = client.post("/v1/uploads", json=body).raise_for_status().json()
    model, config = upload["files"]
    put = config["put"]
    client.put(put["url"], content=CONFIG, headers=put["headers"]).raise_for_status()
    start = 0
    for part in model["parts"] or [{**model["put"], "size": adapter.size}]:
        content = adapter.pieces(start, part["size"])
        headers = {"Content-Length": str(part["size"])}
        client.put(part["url"], content=content, headers=headers).raise_for_status()
        start += part["size"]
    client.post(upload["links"]["complete"]).raise_for_status()
    return client.post("/v1/jobs", json={"source": upload["source"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    adapter = Adapter(int(parser.parse_args().gigabytes * 1e9) // 2 * 2)
    ways = {"multipart": by_multipart, "signed URLs, then upload:": by_signed_urls}
    with SeaweedServer() as seaweed, ValkeyServer() as valkey, tempfile.TemporaryDirectory() as at:
        settings = seaweed.settings(prefix="bench")
        store = open_store(StoreSettings(kind="s3", s3=settings))
        leave_alignment(Records(store))
        print(f"an adapter of {adapter.size / 1e9:.2f} GB")
        for name, way in ways.items():
            with running_api(settings, valkey.url, Path(at)) as (port, pid):
                before = peak_mib(pid)
                url = f"http://127.0.0.1:{port}"
                with httpx2.Client(base_url=url, trust_env=False, timeout=_PATIENCE) as client:
                    start = time.monotonic()
                    job = way(client, adapter).raise_for_status().json()
                    seconds = time.monotonic() - start
                peak = peak_mib(pid)
            sizes = {file["name"]: file["size"] for file in job["input"]}
            assert sizes["adapter_model.safetensors"] == adapter.size, json.dumps(job)  # noqa: S101
            print(f"{name:28s} peak {peak:6.1f} MiB (idle {before:.1f}), {seconds:.1f} s")
            for key in list(store.list("tenants/")):
                store.delete(key)
        with running_api(settings, valkey.url, Path(at)) as (port, _):
            for what, taken in read_before_refusal(port).items():
                print(f"{what:28s} refused after {taken} bytes were taken off the sender")
        store.close()


if __name__ == "__main__":
    main()
