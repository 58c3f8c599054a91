"""What operations are given where a schema alone cannot know what is good: the one table of it.

An operation that is not here is called with what its schema generates.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from schemathesis.transport.serialization import Binary

from tests.service.running import golden_parts

VARIABLE: Final = "SAFELORA_CONTRACT"
ALIGNMENT: Final = "tiny"
SPARE: Final = "spare"
"""One whose policies may be changed."""
HOOK: Final = "events"
HOOK_SECRET: Final = "events-of-the-contract"
HOOK_TYPE: Final = "adapter.ready"
"""The events that the hook's rule makes jobs of; it ignores others."""
Body = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """The service, and what is there already.

    `jobs` have ended in each way, the first with an adapter, the last cancelled; each with the id
    of a delivery. The first of `uploads` is whole. `webhook` may be changed, `receiver` be told.
    `source` and `destination` are there on S3. `seen`: the file that statuses are written to.
    """

    url: str
    key: str
    jobs: dict[str, str]
    uploads: list[str]
    webhook: str
    base: str
    aligned: str
    receiver: str
    source: str | None
    destination: str | None
    seen: str

    def good_ids(self, operation: str) -> dict[str, str]:
        """Parameters of the path with which the operation is granted."""
        projected, *_, cancelled = self.jobs  # the first and the last that were posted
        steered = operation.endswith(("/cancel", "/retry"))
        return {
            "job_id": cancelled if steered else projected,
            "delivery_id": self.jobs[projected],
            "filename": "adapter_config.json",
            "name": "adapter_config.json" if operation.startswith("PUT") else ALIGNMENT,
            "upload_id": self.uploads[0],
            "webhook_id": self.webhook,
            "source": HOOK,
        }

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def given() -> Given:
    """As the runner left it to the process that runs the hooks."""
    return Given(**json.loads(os.environ[VARIABLE]))


def archive() -> bytes:
    """The golden adapter as a .zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as folder:
        for name, part in adapter_files().items():
            folder.writestr(name, part)
    return packed.getvalue()


def adapter_files() -> dict[str, bytes]:
    """The golden adapter by the names of its files."""
    names = ("adapter_model.safetensors", "adapter_config.json")
    return dict(zip(names, golden_parts().values(), strict=True))


def announced() -> Body:
    """The body that announces these files."""
    return {"files": [{"name": n, "size": len(data)} for n, data in adapter_files().items()]}


def _order(body: Body) -> None:
    if "alignment" in body:
        body["alignment"] = ALIGNMENT
    if body.get("callback_url") is not None:
        body["callback_url"] = given().receiver
    if body.get("destination") is not None:
        body["destination"] = given().destination or "s3://not-allowed/results/"
        policy = body.get("policy") or {}
        if policy.get("selection", {}).get("mode") == "none":  # there is nothing to bring then
            del body["destination"]


def _files(body: Body) -> None:
    _order(body)
    for name, content in (golden_parts() | {"archive": archive()}).items():
        if name in body:
            body[name] = Binary(content)


def _source(body: Body) -> None:
    """An upload that is whole, or S3."""
    _order(body)
    elsewhere = given().source or "s3://not-allowed/adapter/"
    body["source"] = elsewhere if "metadata" in body else f"upload:{given().uploads[0]}"


def _announced(body: Body) -> None:
    """What there are bytes for, with as many files and digests as were generated."""
    contents = {"archive.zip": archive()} if len(body["files"]) == 1 else adapter_files()
    body["files"] = [
        {"name": name, "size": len(data)}
        | ({"sha256": hashlib.sha256(data).hexdigest()} if file.get("sha256") else {})
        for file, (name, data) in zip(body["files"], contents.items(), strict=False)
    ]


def _webhook(body: Body) -> None:
    """None is switched on: each would be told of every job."""
    if "url" in body:
        body["url"] = given().receiver
    body["enabled"] = False


def _event(body: Body) -> None:
    if body:
        body |= {"type": HOOK_TYPE, "source": given().source or "s3://not-allowed/adapter/"}


def _pair(body: Body) -> None:
    body["base"], body["aligned"] = given().base, given().aligned
    if "base_names" in body:  # any printable text is one
        body["base_names"] = ["contract/model"] * len(body["base_names"])
    _policies(body)


def _policies(body: Body) -> None:
    """A floor that the default policy does not fall below, whatever they were before."""
    if body.get("floor") is not None:
        body["default_policy"] = body["floor"]
    elif "default_policy" in body:
        body["floor"] = None


def whole_numbers(value: Any) -> Any:
    """The same JSON, with 2 for 2.0: the gate has whole numbers written without a point."""
    if isinstance(value, dict):
        return {name: whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


BODIES: Final[dict[tuple[str, str], Callable[[Body], None]]] = {
    ("POST /v1/jobs", "multipart/form-data"): _files,
    ("POST /v1/jobs", "application/json"): _source,
    ("POST /v1/uploads", "application/json"): _announced,
    ("POST /v1/webhooks", "application/json"): _webhook,
    ("PATCH /v1/webhooks/{webhook_id}", "application/json"): _webhook,
    ("POST /v1/hooks/{source}", "application/json"): _event,
    ("POST /v1/alignments", "application/json"): _pair,
    ("PATCH /v1/alignments/{name}", "application/json"): _policies,
}
"""How a body that fits its schema is made one that the gate takes."""
