"""One run of schemathesis over all operations of a service, and what is wrong with it."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.contract.data import ALIGNMENT, HOOK, HOOK_SECRET, SPARE, Given

CONFIG = Path(__file__).parent / "schemathesis.toml"
LONGEST_SECONDS = 600
_SHORT = """
[[operations]]
include-name = ["POST /v1/jobs", "POST /v1/alignments", "PATCH /v1/alignments/{name}"]
phases.coverage.enabled = false
"""


@dataclass(frozen=True)
class Verdict:
    """How a run ended: what schemathesis printed, its report, the operations of the document, how
    often each had which status, and logs of the service in which there is a traceback."""

    passed: bool
    output: str
    report: dict[str, Any]
    operations: set[str]
    statuses: Counter[tuple[str, int]]
    faults: dict[str, str]

    @property
    def cases(self) -> int:
        return int(self.report["test_cases"]["generated"])

    @property
    def ungranted(self) -> set[str]:
        """Operations that never did what they are for; on S3 a download is a redirect."""
        return self.operations - {label for label, status in self.statuses if status < 400}

    def complaints(self, *, least_cases: int) -> list[str]:
        """Everything that is wrong; nothing if the service keeps to its document."""
        return [
            *([] if self.passed else ["a check failed"]),
            *(f"{operation} was never granted" for operation in sorted(self.ungranted)),
            *(f"{log} has a traceback:\n{text}" for log, text in self.faults.items()),
            *([f"{self.cases} cases are too few"] if self.cases < least_cases else []),
        ]


def judge(
    given: Given, folder: Path, *, examples: int, seed: int = 1, short: bool = False
) -> Verdict:
    """Run every phase and every check, with `examples` random cases for each operation. `short`:
    without the thousand ways in which each of three bodies can hold a wrong policy."""
    report = folder / "report.json"
    config = folder / "schemathesis.toml"
    config.write_text(f"{_bound(given)}\n{CONFIG.read_text()}{_SHORT if short else ''}")
    secrets = {"SAFELORA_KEY": given.key, "SAFELORA_HOOK_SECRET": HOOK_SECRET}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{given.url}/openapi.json", "--no-color", "--seed", str(seed)),
            *("--max-examples", str(examples), "--report", "json"),
            *("--report-json-path", str(report), "--generation-database", "none"),
        ],
        env={**os.environ, **given.environment(), **secrets},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    output = done.stdout + done.stderr
    if not report.exists():
        raise AssertionError(f"schemathesis did not run:\n{output}")
    logs = {log.name: log.read_text() for log in (folder / "data" / "logs").glob("*.log")}
    return Verdict(
        passed=done.returncode == 0,
        output=output,
        report=json.loads(report.read_text()),
        operations=_operations(given),
        statuses=_statuses(Path(given.seen)),
        faults={name: text for name, text in logs.items() if "Traceback" in text},
    )


def _bound(given: Given) -> str:
    """Half of the ids asked for are those of what is there."""
    known = {
        "job_id": list(given.jobs),
        "name": [ALIGNMENT, SPARE],
        "upload_id": given.uploads,
        "webhook_id": [given.webhook],
        "source": [HOOK],
    }
    lines = [f"dictionaries.{name}.values = {json.dumps(ids)}" for name, ids in known.items()]
    lines += [
        f'parameters."path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}'
        for name in known
    ]
    return "\n".join(lines)


def _operations(given: Given) -> set[str]:
    document = httpx2.get(f"{given.url}/openapi.json", trust_env=False).json()
    return {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }


def _statuses(seen: Path) -> Counter[tuple[str, int]]:
    lines = [line.partition(" ") for line in seen.read_text().splitlines()]
    return Counter((label, int(status)) for status, _, label in lines)
