"""A service with what the cases lean on, and one run of schemathesis over all its operations."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from core.store.settings import StoreSettings
from tests.buckets import BUCKET, foreign_bucket
from tests.contract.data import ALIGNMENT, SPARE, Given
from tests.servers import SeaweedServer
from tests.service.running import Running, golden_parts, store_environment
from tests.service.up import key_in, up, url_in
from tests.worker.making import GOLDEN

CONFIG = Path(__file__).parent / "schemathesis.toml"
SOURCE = "contract/adapter/"
LONGEST_SECONDS = 600
_SETTINGS = {"SAFELORA_LIMITS__WAIT": "1"}  # a long poll need not be long


@dataclass(frozen=True)
class Verdict:
    """How a run ended: what schemathesis printed, and its report."""

    passed: bool
    output: str
    report: dict[str, Any]

    @property
    def cases(self) -> int:
        return int(self.report["test_cases"]["generated"])

    @property
    def accepted(self) -> dict[str, int]:
        """How many cases each operation answered with success, outside the stateful phase."""
        return {
            operation: sum(phase["accepted"] for phase in phases.values())
            for operation, phases in self.report["valid_rates"].items()
        }

    @property
    def untested(self) -> int:
        """Operations of the document that were not called."""
        operations = self.report["operations"]
        return int(operations["total"]) - int(operations["tested"])


@contextmanager
def judged_service(folder: Path, seaweed: SeaweedServer | None) -> Iterator[Given]:
    """`up` on a folder, or on S3; an alignment is ready, and jobs have ended in each way."""
    environment = dict(_SETTINGS)
    source = None
    if seaweed is not None:
        environment |= _on_s3(seaweed, folder.name)
        source = f"s3://{BUCKET}/{SOURCE}"
    with (
        up(folder / "data", "--checkpoints", str(GOLDEN), environment=environment) as (_, said),
        httpx2.Client(
            base_url=url_in(said),
            headers={"Authorization": f"Bearer {key_in(said)}"},
            trust_env=False,
        ) as client,
    ):
        running = Running(client, StoreSettings(), folder / "data" / "logs" / "worker.log")
        base, aligned = GOLDEN / "base", GOLDEN / "aligned"
        names = ["golden/tiny-llama-chat"]
        for name in (ALIGNMENT, SPARE):
            running.register(name, base, aligned, base_names=names, dtype="float32")
            names = []
        jobs = [job["id"] for job in _ended_jobs(running)]
        yield Given(url_in(said), key_in(said), jobs, str(base), str(aligned), source)


def judge(given: Given, folder: Path, *, examples: int, seed: int = 1) -> Verdict:
    """Run every phase and every check, with `examples` random cases for each operation."""
    report = folder / "report.json"
    config = folder / "schemathesis.toml"
    config.write_text(f"{_bound(given)}\n{CONFIG.read_text()}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{given.url}/openapi.json", "--no-color", "--seed", str(seed)),
            *("--max-examples", str(examples), "--report", "json"),
            *("--report-json-path", str(report), "--generation-database", "none"),
        ],
        env={**os.environ, **given.environment(), "SAFELORA_KEY": given.key},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    output = done.stdout + done.stderr
    if not report.exists():
        raise AssertionError(f"schemathesis did not run:\n{output}")
    return Verdict(done.returncode == 0, output, json.loads(report.read_text()))


def _bound(given: Given) -> str:
    """Half of the ids asked for are those of jobs that are there."""
    return "\n".join(
        [
            f"dictionaries.jobs.values = {json.dumps(given.jobs)}",
            f"dictionaries.alignments.values = {json.dumps([ALIGNMENT, SPARE])}",
            'parameters."path.job_id" = { dictionary = "jobs", probability = 0.5 }',
            'parameters."path.name" = { dictionary = "alignments", probability = 0.5 }',
        ]
    )


def _ended_jobs(running: Running) -> Iterator[dict[str, Any]]:
    """Projected, scored only, rejected and cancelled, a few of each."""
    golden = golden_parts()
    damaged = golden | {"config": b"{}"}
    for number in range(2):
        yield running.wait(running.post(policy=_policy("threshold", number)))
        yield running.wait(running.post(policy=_policy("none", number)))
        yield running.wait(running.post(damaged, metadata=json.dumps({"run": str(number)})))
        queued = running.post(policy=_policy("all", number)).json()
        running.client.post(f"/v1/jobs/{queued['id']}/cancel")
        yield queued


def _policy(mode: str, number: int) -> str:
    return json.dumps({"selection": {"mode": mode}, "caps": {"tensors": 20_000 - number}})


def _on_s3(seaweed: SeaweedServer, prefix: str) -> Mapping[str, str]:
    """Settings of a gate on the server, that may read an adapter from another bucket of it."""
    elsewhere = foreign_bucket(seaweed, "")
    try:
        for name, content in zip(
            ("adapter_model.safetensors", "adapter_config.json"),
            golden_parts().values(),
            strict=True,
        ):
            elsewhere.put(f"{SOURCE}{name}", content)
    finally:
        elsewhere.close()
    store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=prefix))
    allowed = json.dumps([f"s3://{BUCKET}/contract/"])
    return {**store_environment(store), "SAFELORA_SOURCES__S3_ALLOW": allowed}
