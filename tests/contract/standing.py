"""A service with everything there that the cases lean on."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from core.store.settings import StoreSettings
from tests.buckets import BUCKET, foreign_bucket
from tests.contract.data import (
    ALIGNMENT,
    HOOK,
    HOOK_SECRET,
    HOOK_TYPE,
    SPARE,
    Given,
    adapter_files,
    announced,
)
from tests.servers import SeaweedServer
from tests.service.running import Running, golden_parts, store_environment
from tests.service.up import key_in, up, url_in
from tests.worker.making import GOLDEN
from tests.worker.webhooks.receiver import receiving

_SOURCE = f"s3://{BUCKET}/contract/"
_DESTINATION = f"s3://{BUCKET}/results/"
_LONGEST_SECONDS = 120


@contextmanager
def judged_service(folder: Path, seaweed: SeaweedServer | None) -> Iterator[Given]:
    """`up` on a folder, or on S3; an alignment is ready, and jobs have ended in each way."""
    with receiving() as receiver:
        environment = _settings(receiver.origin)
        if seaweed is not None:
            environment |= _on_s3(seaweed, folder.name)
        with (
            up(folder / "data", "--checkpoints", str(GOLDEN), environment=environment) as (_, said),
            httpx2.Client(
                base_url=url_in(said),
                headers={"Authorization": f"Bearer {key_in(said)}"},
                trust_env=False,
            ) as client,
        ):
            running = Running(client, StoreSettings(), folder / "data" / "logs" / "worker.log")
            _register(running)
            client.post("/v1/webhooks/secret").raise_for_status()
            webhooks = [_made(client, "/v1/webhooks", {"url": receiver.url}) for _ in range(2)]
            off = {"enabled": False}
            client.patch(f"/v1/webhooks/{webhooks[1]}", json=off).raise_for_status()
            jobs = list(_jobs(running))
            yield Given(
                url=url_in(said),
                key=key_in(said),
                jobs={job: _delivered(client, job) for job in jobs},
                uploads=list(_uploads(client)),
                webhook=webhooks[1],
                base=str(GOLDEN / "base"),
                aligned=str(GOLDEN / "aligned"),
                receiver=receiver.url,
                source=None if seaweed is None else f"{_SOURCE}adapter/",
                destination=None if seaweed is None else _DESTINATION,
                seen=str(folder / "seen.txt"),
            )


def _settings(receiver: str) -> dict[str, str]:
    rule = {
        "kind": "huggingface",  # its events need no signature of their own, only the secret
        "secret": HOOK_SECRET,
        "when": {"type": HOOK_TYPE},
        "adapter": "{source}",
        "alignment": ALIGNMENT,
    }
    return {
        "SAFELORA_ACCESS__FAILURES_PER_MINUTE": "1000",  # each operation is tried without a key
        "SAFELORA_LIMITS__WAIT": "1",  # a long poll need not be long
        "SAFELORA_WEBHOOKS__ALLOW": json.dumps([receiver]),
        "SAFELORA_WEBHOOKS__ENDPOINTS": "1000",
        "SAFELORA_HOOKS": json.dumps({HOOK: rule}),
    }


def _register(running: Running) -> None:
    base, aligned = GOLDEN / "base", GOLDEN / "aligned"
    names = ["golden/tiny-llama-chat"]
    for name in (ALIGNMENT, SPARE):
        running.register(name, base, aligned, base_names=names, dtype="float32")
        names = []


def _made(client: httpx2.Client, path: str, body: dict[str, Any]) -> str:
    return _id(client.post(path, json=body))


def _id(accepted: httpx2.Response) -> str:
    return str(accepted.raise_for_status().json()["id"])


def _jobs(running: Running) -> Iterator[str]:
    """Projected, scored only, rejected and cancelled, a few of each; they end when they end."""
    golden = golden_parts()
    not_finite = golden | {"adapter": golden["adapter"][:-100] + b"\xff" * 100}
    for number in range(2):
        label = json.dumps({"run": str(number)})
        yield _id(running.post(policy=_policy("threshold", number)))
        yield _id(running.post(policy=_policy("none", number)))
        yield _id(running.post(not_finite, metadata=label))
        cancelled = _id(running.post(policy=_policy("all", number)))
        running.client.post(f"/v1/jobs/{cancelled}/cancel").raise_for_status()
        yield cancelled


def _policy(mode: str, number: int) -> str:
    return json.dumps({"selection": {"mode": mode}, "caps": {"tensors": 20_000 - number}})


def _uploads(client: httpx2.Client) -> Iterator[str]:
    """One that is whole, and one of which nothing is there."""
    for contents in (adapter_files(), {}):
        upload = _made(client, "/v1/uploads", announced())
        for name, content in contents.items():
            client.put(f"/v1/uploads/{upload}/files/{name}", content=content).raise_for_status()
        yield upload


def _delivered(client: httpx2.Client, job: str) -> str:
    """The delivery of a job's end, once it has ended and the receiver has taken it."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        for delivery in client.get(f"/v1/jobs/{job}/deliveries").json()["deliveries"]:
            if delivery["state"] == "delivered":
                return str(delivery["id"])
        time.sleep(0.1)
    raise AssertionError(f"the end of job {job} was not told")


def _on_s3(seaweed: SeaweedServer, prefix: str) -> Mapping[str, str]:
    """Settings of a gate on the server, that may use another bucket of it."""
    elsewhere = foreign_bucket(seaweed, "")
    try:
        for name, content in adapter_files().items():
            elsewhere.put(f"contract/adapter/{name}", content)
    finally:
        elsewhere.close()
    store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=prefix))
    return {
        **store_environment(store),
        "SAFELORA_SOURCES__S3_ALLOW": json.dumps([_SOURCE]),
        "SAFELORA_DESTINATIONS__S3_ALLOW": json.dumps([_DESTINATION]),
    }
