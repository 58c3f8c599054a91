"""What operations are given where a schema alone cannot know what is good: the one table of it.

An operation that is not here is called with what its schema generates.
"""

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
SCRAP: Final = "scrap"
"""One that may be deleted."""
Body = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """The service, and what is there already: jobs that have ended in each way, a pair of
    checkpoints, and an adapter in S3 where the service is on S3."""

    url: str
    key: str
    jobs: list[str]
    base: str
    aligned: str
    source: str | None

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def given() -> Given:
    """As the runner left it to the process that runs the hooks."""
    return Given(**json.loads(os.environ[VARIABLE]))


def archive() -> bytes:
    """The golden adapter as a .zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as folder:
        for name, part in zip(
            ("adapter_model.safetensors", "adapter_config.json"),
            golden_parts().values(),
            strict=True,
        ):
            folder.writestr(name, part)
    return packed.getvalue()


def _order(body: Body) -> None:
    if "alignment" in body:
        body["alignment"] = ALIGNMENT
    for elsewhere in ("destination", "callback_url"):  # those have tests of their own
        body.pop(elsewhere, None)


def _files(body: Body) -> None:
    _order(body)
    for name, content in (golden_parts() | {"archive": archive()}).items():
        if name in body:
            body[name] = Binary(content)


def _source(body: Body) -> None:
    _order(body)
    body["source"] = given().source or "s3://not-allowed/adapter/"


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


def _announcement(body: Body) -> None:
    """Files that may be announced together, no larger than is taken."""
    names = ("adapter_model.safetensors", "adapter_config.json", "adapters.safetensors")
    for name, file in zip(names, body["files"], strict=False):
        file.update(name=name, size=1 + file["size"] % 1000)


def _receiver(body: Body) -> None:
    if "url" in body:
        body["url"] = "https://told.example/x"


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
    ("POST /v1/uploads", "application/json"): _announcement,
    ("POST /v1/webhooks", "application/json"): _receiver,
    ("PATCH /v1/webhooks/{webhook_id}", "application/json"): _receiver,
    ("POST /v1/alignments", "application/json"): _pair,
    ("PATCH /v1/alignments/{name}", "application/json"): _policies,
}
"""How a body that fits its schema is made one that the gate takes."""
