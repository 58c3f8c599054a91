"""One session with the service over HTTP: a pair is registered, an adapter is sanitized.

Each request is told as the line of curl that would send it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from app.terminal.aligning import align
from core.errors import GateError
from core.report import Report
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, REPORT_JSON
from safelora import Gate as Client
from safelora import GateError as ClientError

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

    def __init__(self, client: Client, console: Console) -> None:
        self._client, self._console = client, console

    def register(self, order: Mapping[str, Any]) -> None:
        """Has the pair's alignment built, and waits for it. Raises `DemoFailed`."""
        body = f"-H 'Content-Type: application/json' -d @- <<END\n{_told(order)}\nEND"
        tell(self._console, f"curl $GATE/v1/alignments {KEY}", body)
        with _as_it_shows():
            built = align(self._client, order, _show_nothing, poll=0.2)
        self._print(f"{order['name']} is ready: {built.id}")
        for warning in built.warnings:
            self._print(f"warning [{warning.code}]: {warning.message}")

    def sanitize(self, adapter: Path, alignment: str, to: Path) -> Report:
        """Posts the adapter; downloads what became of it into `to`, and the report beside it."""
        with _as_it_shows():
            job = self._post(adapter, alignment)
            self._wait_for(job)
            for name in (ADAPTER_MODEL, ADAPTER_CONFIG, ATTESTATION):
                self._tell_download(f"/v1/jobs/{job}/adapter/{name}", to / name)
            self._client.download(job, to)
            report = to.with_name(REPORT_JSON)
            self._tell_download(f"/v1/jobs/{job}/{REPORT_JSON}", report)
            report.write_bytes(self._client.report_bytes(job))
        return Report.model_validate_json(report.read_bytes())

    def _post(self, adapter: Path, alignment: str) -> str:
        parts = {"adapter": adapter / ADAPTER_MODEL, "config": adapter / ADAPTER_CONFIG}
        told = [f"-F {field}=@{short(path)}" for field, path in parts.items()]
        tell(self._console, f"curl $GATE/v1/jobs {KEY}", f"-F alignment={alignment}", *told)
        return self._client.submit(parts, alignment=alignment).id

    def _wait_for(self, job: str) -> None:
        tell(self._console, f'curl "$GATE/v1/jobs/{job}?wait={WAIT}" {KEY}')
        seen = self._client.wait(job, timeout=JOB_SECONDS, poll=WAIT)
        if seen.state != "succeeded":
            raise DemoFailed(f"the job is {seen.state}: {seen.error or seen.findings}")
        self._print(f"the job has {seen.state}, verdict: {seen.verdict}")

    def _tell_download(self, place: str, to: Path) -> None:
        tell(self._console, f"curl -o {short(to)} {KEY}", f"$GATE{place}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


@contextmanager
def _as_it_shows() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise DemoFailed(f"the gate answered {error.code}: {error}") from error


def _told(order: Mapping[str, Any]) -> str:
    """A field a line. A shell has its folder in `$PWD`."""
    fields = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in order.items())
    return f"{{\n{fields}\n}}".replace(str(Path.cwd()), "$PWD")


def short(path: Path) -> str:
    """As seen from where the demo runs."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _show_nothing(_done: int, _total: int, _stage: str = "") -> None:
    """The clock of the step is enough for a build of a minute."""
