"""One session with the service over HTTP: a pair is registered, an adapter is sanitized.

Each request is told as the line of curl that would send it.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
from rich.console import Console

from app.aligning import align
from core.errors import GateError
from core.report import Report
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, REPORT_JSON

JOB_SECONDS: Final = 300.0
WAIT: Final = 20  # seconds that one request waits for a job
KEY: Final = '-H "Authorization: Bearer $SAFELORA_KEY"'


class DemoFailed(GateError):
    """The service did not do what the demo shows; the message says what it answered."""

    code = "demo_failed"


def tell(console: Console, *lines: str) -> None:
    """A command as one would type it, cut into lines as a shell takes them."""
    console.print("$ " + " \\\n    ".join(lines), style="cyan", markup=False, soft_wrap=True)


class Gate:
    """A running service, as its operator and an uploader see it."""

    def __init__(self, client: httpx2.Client, console: Console) -> None:
        self._client, self._console = client, console

    def register(self, order: Mapping[str, Any]) -> None:
        """Has the pair's alignment built, and waits for it. Raises `GateError`."""
        body = f"-H 'Content-Type: application/json' -d @- <<END\n{_told(order)}\nEND"
        tell(self._console, f"curl $GATE/v1/alignments {KEY}", body)
        built = align(self._client, order, _show_nothing, poll=0.2)
        self._print(f"{order['name']} is ready: {built.id}")
        for warning in built.warnings:
            self._print(f"warning [{warning.code}]: {warning.message}")

    def sanitize(self, adapter: Path, alignment: str, to: Path) -> Report:
        """Posts the adapter; downloads what became of it into `to`, and the report beside it."""
        job = self._post(adapter, alignment)
        self._wait_for(job)
        for name in (ADAPTER_MODEL, ADAPTER_CONFIG):
            self._download(f"/v1/jobs/{job}/adapter/{name}", to / name)
        report = to.with_name(REPORT_JSON)
        self._download(f"/v1/jobs/{job}/{REPORT_JSON}", report)
        return Report.model_validate_json(report.read_bytes())

    def _post(self, adapter: Path, alignment: str) -> str:
        parts = {"adapter": adapter / ADAPTER_MODEL, "config": adapter / ADAPTER_CONFIG}
        told = [f"-F {field}=@{short(path)}" for field, path in parts.items()]
        tell(self._console, f"curl $GATE/v1/jobs {KEY}", f"-F alignment={alignment}", *told)
        files = {field: (path.name, path.read_bytes()) for field, path in parts.items()}
        job = self._client.post("/v1/jobs", data={"alignment": alignment}, files=files)
        return str(_checked(job).json()["id"])

    def _wait_for(self, job: str) -> None:
        place = f"/v1/jobs/{job}?wait={WAIT}"
        tell(self._console, f'curl "$GATE{place}" {KEY}')
        deadline = time.monotonic() + JOB_SECONDS
        while (seen := _checked(self._client.get(place)).json())["state"] in ("queued", "running"):
            if time.monotonic() > deadline:
                raise DemoFailed(f"the job has not ended in {JOB_SECONDS:.0f} s")
        if seen["state"] != "succeeded":
            raise DemoFailed(f"the job is {seen['state']}: {seen['error'] or seen['findings']}")
        self._print(f"the job has {seen['state']}, verdict: {seen['verdict']}")

    def _download(self, place: str, to: Path) -> None:
        tell(self._console, f"curl -o {short(to)} {KEY}", f"$GATE{place}")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(_checked(self._client.get(place, follow_redirects=True)).content)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def _checked(response: httpx2.Response) -> httpx2.Response:
    if not response.is_success:
        raise DemoFailed(f"the gate answered {response.status_code}: {response.text[:500]}")
    return response


def _told(order: Mapping[str, Any]) -> str:
    """A field a line. A shell has its folder in `$PWD`."""
    fields = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in order.items())
    return f"{{\n{fields}\n}}".replace(str(Path.cwd()), "$PWD")


def short(path: Path) -> str:
    """As seen from where the demo runs."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _show_nothing(_done: int, _total: int) -> None:
    """The clock of the step is enough for a build of a minute."""
