"""A bucket of a real SeaweedFS whose new adapters are sanitized by themselves."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session

from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer, free_ports
from tests.service.running import Json, Running, golden_parts, running_service
from tests.worker.making import GOLDEN

SECRET = "a-token-of-the-bucket"
UPLOADS = "uploads"
WAIT_SECONDS = 60
NAMES = {"adapter": "adapter_model.safetensors", "config": "adapter_config.json"}

NOTIFICATION = """
[notification.webhook]
enabled = true
endpoint = "http://127.0.0.1:{port}/v1/hooks/bucket"
bearer_token = "{secret}"
event_types = ["create", "update", "rename"]
path_prefixes = ["/buckets/{bucket}/in/"]
"""


@dataclass(frozen=True)
class Watched:
    """A service, and a client of the bucket that it is told about."""

    service: Running
    bucket: Any

    def put(self, folder: str, part: str, data: bytes | None = None) -> None:
        body = golden_parts()[part] if data is None else data
        self.bucket.put_object(Bucket=UPLOADS, Key=f"{folder}/{NAMES[part]}", Body=body)

    def jobs(self) -> list[Json]:
        found: list[Json] = self.service.client.get("/v1/jobs").json()["jobs"]
        return found

    def ended(self, count: int) -> list[Json]:
        """The jobs, once there are so many and all have ended."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            jobs = self.jobs()
            if len(jobs) >= count and all(job["finished_at"] for job in jobs):
                return jobs
            time.sleep(0.1)
        raise AssertionError(f"{self.jobs()}\n{self.service.log.read_text()[-3000:]}")

    def answered(self, count: int) -> list[str]:
        """What the API answered to events, once there were so many."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            lines = self.service.log.read_text().splitlines()
            found = [line for line in lines if "POST /v1/hooks/" in line]
            if len(found) >= count:
                told = [json.loads(line)["event"] for line in found]
                return [event.partition("HTTP/1.1")[2].strip(' "') for event in told]
            time.sleep(0.1)
        raise AssertionError(self.service.log.read_text()[-3000:])


def rule(**more: object) -> str:
    own = {"kind": "s3", "secret": SECRET, "prefix": f"s3://{UPLOADS}/in/", "alignment": "tiny"}
    return json.dumps({"bucket": {**own, **more}})


@pytest.fixture
def watched(
    valkey: ValkeyServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Watched]:
    (port,) = free_ports(1)
    notification = NOTIFICATION.format(port=port, secret=SECRET, bucket=UPLOADS)
    with SeaweedServer(notification=notification) as seaweed:
        bucket = Session().client(
            "s3",
            endpoint_url=seaweed.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=seaweed.access_key_id,
            aws_secret_access_key=seaweed.secret_access_key,
        )
        bucket.create_bucket(Bucket=UPLOADS)
        with running_service(
            StoreSettings(kind="s3", s3=seaweed.settings(prefix="own")),
            valkey.url,
            tmp_path,
            s3_allow=[f"s3://{UPLOADS}/in/"],
            roots=[GOLDEN],
            port=port,
            settings={
                "SAFELORA_HOOKS": rule(**getattr(request, "param", {})),
                "SAFELORA_DESTINATIONS__S3_ALLOW": f'["s3://{UPLOADS}/sanitized/"]',
                "SAFELORA_DESTINATIONS__S3__ENDPOINT_URL": seaweed.endpoint_url,
                "SAFELORA_DESTINATIONS__S3__ACCESS_KEY_ID": seaweed.access_key_id,
                "SAFELORA_DESTINATIONS__S3__SECRET_ACCESS_KEY": seaweed.secret_access_key,
            },
        ) as service:
            record = service.register("tiny", GOLDEN / "base", GOLDEN / "aligned", dtype="float32")
            assert record["state"] == "ready", record
            yield Watched(service, bucket)
        bucket.close()


def test_adapter_put_into_a_bucket_is_sanitized(watched: Watched) -> None:
    """No call to the API but SeaweedFS's own: in either order, one job for each version."""
    watched.put("in/first", "adapter")
    watched.put("in/first", "config")
    (first,) = watched.ended(1)
    assert (first["state"], first["verdict"]) == ("succeeded", "projected")
    assert first["source"] == f"s3://{UPLOADS}/in/first/"
    watched.put("in/second", "config")
    watched.put("in/second", "adapter")
    jobs = watched.ended(2)
    assert [job["source"].split("/")[-2] for job in jobs] == ["second", "first"]
    watched.put("elsewhere/third", "config")
    watched.put("elsewhere/third", "adapter")
    watched.put("in/first", "config", b"{}")
    newest, *older = watched.ended(3)
    assert (newest["state"], newest["source"]) == ("rejected", f"s3://{UPLOADS}/in/first/")
    assert older == jobs
    # two events of folders, and one for each of the five files under the prefix
    answers = watched.answered(7)
    assert len(watched.jobs()) == 3
    assert {answer[:3] for answer in answers} <= {"200", "202"}


@pytest.mark.parametrize(
    "watched",
    [{"destination": f"s3://{UPLOADS}/sanitized/{{+folder}}/"}],
    indirect=True,
)
def test_sanitized_adapter_is_brought_to_another_prefix(watched: Watched) -> None:
    """Where it makes no job again, though it lies in the same bucket."""
    watched.put("in/first", "adapter")
    watched.put("in/first", "config")
    assert all(answer.startswith("20") for answer in watched.answered(3))
    (job,) = watched.ended(1)
    assert job["state"] == "succeeded"
    deadline = time.monotonic() + WAIT_SECONDS
    place = {"Bucket": UPLOADS, "Prefix": "sanitized/first/"}
    while time.monotonic() < deadline:
        listed = watched.bucket.list_objects_v2(**place).get("Contents", [])
        if {entry["Key"].rpartition("/")[2] for entry in listed} >= set(NAMES.values()):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(f"nothing was brought: {watched.service.log.read_text()[-3000:]}")
    assert len(watched.jobs()) == 1
