"""Bring a sanitized adapter to a machine that serves it, and have vLLM load it.

    python examples/vllm_load.py JOB_ID NAME --vllm http://127.0.0.1:8001 --folder /srv/adapters

vLLM must be started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, and see the same
folder. The gate is found by SAFELORA_URL and SAFELORA_KEY.
"""

import argparse
import sys
from pathlib import Path

import httpx2

from safelora import Gate, GateError


class NotLoaded(Exception):
    """vLLM does not take the adapter; the message is its own."""


def load(gate: Gate, job_id: str, name: str, vllm: str, folder: Path) -> Path:
    """The folder that vLLM serves the adapter from, as model `name`.

    Only what the gate published, and as its report names it, comes so far. Raises `GateError` or
    `NotLoaded`.
    """
    place = folder.absolute() / job_id  # a folder of its own: vLLM may read it again at any time
    gate.download(job_id, place)
    order = {"lora_name": name, "lora_path": str(place)}
    try:
        answer = httpx2.post(f"{vllm}/v1/load_lora_adapter", json=order, timeout=120.0)
    except httpx2.TransportError as error:
        raise NotLoaded(f"vLLM does not answer: {error}") from error
    if not answer.is_success:
        raise NotLoaded(f"vLLM answers {answer.status_code}: {answer.text[:500]}")
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description="load a sanitized adapter into vLLM")
    parser.add_argument("job_id")
    parser.add_argument("name")
    parser.add_argument("--vllm", default="http://127.0.0.1:8001")
    parser.add_argument("--folder", type=Path, default=Path("adapters"))
    given = parser.parse_args()
    try:
        with Gate() as gate:
            place = load(gate, given.job_id, given.name, given.vllm, given.folder)
    except (GateError, NotLoaded) as error:
        sys.exit(f"not loaded: {error}")
    print(f"{given.name} is served from {place}")


if __name__ == "__main__":
    main()
