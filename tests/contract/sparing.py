"""What all cases lean on is neither changed nor removed: something made for it is, in its place."""

from collections.abc import Callable, Collection
from typing import Any, Final

import httpx2
from schemathesis import Case

from tests.contract.data import ALIGNMENT, SPARE, Given, announced, given
from tests.service.running import golden_parts

SCRAP: Final = "scrap"


def spare(case: Case[Any]) -> None:
    """Let the case remove or change another than the one that is needed."""
    label, path = case.operation.label, case.path_parameters
    if label == "PATCH /v1/alignments/{name}" and path.get("name") == ALIGNMENT:
        path["name"] = SPARE
    if label not in _MADE:
        return
    parameter, kept, make = _MADE[label]
    there = given()
    if path.get(parameter) in kept(there):
        key = {"Authorization": f"Bearer {there.key}"}
        with httpx2.Client(base_url=there.url, headers=key, trust_env=False) as client:
            path[parameter] = make(client, there)


def _alignment(client: httpx2.Client, there: Given) -> str:
    body = {"name": SCRAP, "base": there.base, "aligned": there.aligned}
    return str(_made(client.post("/v1/alignments", json=body))["name"])


def _job(client: httpx2.Client, _: Given) -> str:
    """One that has ended: it is cancelled, unless the result was there before."""
    made = _made(client.post("/v1/jobs", data={"alignment": ALIGNMENT}, files=golden_parts()))
    client.post(f"/v1/jobs/{made['id']}/cancel")
    return str(made["id"])


def _upload(client: httpx2.Client, _: Given) -> str:
    return str(_made(client.post("/v1/uploads", json=announced()))["id"])


def _webhook(client: httpx2.Client, there: Given) -> str:
    body = {"url": there.receiver, "enabled": False}
    return str(_made(client.post("/v1/webhooks", json=body))["id"])


def _made(response: httpx2.Response) -> dict[str, Any]:
    response.raise_for_status()
    made: dict[str, Any] = response.json()
    return made


_Kept = Callable[[Given], Collection[str]]
_Make = Callable[[httpx2.Client, Given], str]
_MADE: Final[dict[str, tuple[str, _Kept, _Make]]] = {
    "DELETE /v1/alignments/{name}": ("name", lambda _: (ALIGNMENT, SPARE), _alignment),
    "DELETE /v1/jobs/{job_id}": ("job_id", lambda there: there.jobs, _job),
    "DELETE /v1/uploads/{upload_id}": ("upload_id", lambda there: there.uploads, _upload),
    "DELETE /v1/webhooks/{webhook_id}": ("webhook_id", lambda there: (there.webhook,), _webhook),
}
