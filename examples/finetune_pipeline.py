"""A step of a fine-tuning pipeline: wait for the fine-tune, have its adapter sanitized, admit it.

    python examples/finetune_pipeline.py ftjob-123 --api https://tuning.example/v1 \\
        --alignment llama-2-7b-chat --admitted /srv/adapters

The fine-tuning service speaks as OpenAI's does: `GET /fine_tuning/jobs/{id}` until it has ended,
then `GET /files/{id}/content` for an archive of the adapter. Its key is in TUNING_API_KEY, the
gate's address and key in SAFELORA_URL and SAFELORA_KEY.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from safelora import Gate, GateError

ENDED = ("succeeded", "failed", "cancelled")
POLL_SECONDS = 5.0


class NotAdmitted(Exception):
    """No adapter of this fine-tune is served; the message says why."""


def admit(
    tuning: httpx2.Client,
    gate: Gate,
    fine_tune: str,
    folder: Path,
    *,
    alignment: str | None = None,
    poll: float = POLL_SECONDS,
) -> Path:
    """The folder of the sanitized adapter, once there is one. `poll`: seconds between two looks.

    The fine-tune's id is the idempotency key: a step that is started again makes no second job.
    Raises `NotAdmitted`, `GateError` or `httpx2.HTTPError`.
    """
    tuned = finished(tuning, fine_tune, poll)
    with tempfile.TemporaryDirectory() as scratch:
        archive = fetched(tuning, tuned["result_files"][0], Path(scratch, "adapter"))
        job = gate.submit(
            archive,
            alignment=alignment,
            metadata={"fine_tune": fine_tune},
            idempotency_key=fine_tune,
        )
    job = gate.wait(job)
    if not job.published:
        found = ", ".join(sorted({finding.code for finding in job.findings}))
        why = found or (job.error.message if job.error else "the policy publishes nothing")
        raise NotAdmitted(f"job {job.id} {job.state}: {why}")
    gate.download(job, folder / job.id)
    return folder / job.id


def finished(tuning: httpx2.Client, fine_tune: str, poll: float) -> Mapping[str, Any]:
    """The fine-tune, once it has succeeded."""
    while True:
        answer = tuning.get(f"/fine_tuning/jobs/{fine_tune}").raise_for_status()
        tuned: Mapping[str, Any] = answer.json()
        if tuned["status"] in ENDED:
            break
        time.sleep(poll)
    if tuned["status"] != "succeeded":
        raise NotAdmitted(f"the fine-tune {tuned['status']}")
    return tuned


def fetched(tuning: httpx2.Client, file_id: str, path: Path) -> Path:
    with tuning.stream("GET", f"/files/{file_id}/content") as answer, path.open("wb") as file:
        for chunk in answer.raise_for_status().iter_bytes():
            file.write(chunk)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="admit the adapter of a fine-tune")
    parser.add_argument("fine_tune")
    parser.add_argument("--api", required=True)
    parser.add_argument("--alignment")
    parser.add_argument("--admitted", type=Path, default=Path("adapters"))
    given = parser.parse_args()
    key = {"Authorization": f"Bearer {os.environ['TUNING_API_KEY']}"}
    try:
        with httpx2.Client(base_url=given.api, headers=key) as tuning, Gate() as gate:
            place = admit(tuning, gate, given.fine_tune, given.admitted, alignment=given.alignment)
    except (NotAdmitted, GateError, httpx2.HTTPError) as error:
        sys.exit(f"not admitted: {error}")
    print(f"admitted: {place}")


if __name__ == "__main__":
    main()
