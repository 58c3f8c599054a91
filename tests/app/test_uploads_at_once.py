"""Uploads that are begun and never ended: each holds pieces of 8 MiB, so one tenant's are bounded.

Forty of them, each 15 MiB long, took more than 500 MiB of an API on S3.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.types import Message

from core.settings import LimitSettings, TenantSettings
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.test_access import access, bearer, key

ALICE, BOB = "slg_alice-secret", "slg_bob-secret"
KEYS = access(key(ALICE, "alice", "jobs"), key(BOB, "bob", "jobs"))
FORM = {"content-type": "multipart/form-data; boundary=x"}
BEGUN = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a"\r\n\r\nand so on'


@dataclass
class Sender:
    """Sends the beginning of a body, and says no more until it goes away."""

    gate: Gate
    path: str
    method: str = "POST"
    inside: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self) -> int:
        begun = [{"type": "http.request", "body": BEGUN, "more_body": True}]
        sent: list[Message] = []

        async def receive() -> Message:
            if begun:
                return begun.pop()
            self.inside.set()
            await self.leave.wait()
            return {"type": "http.disconnect"}

        async def answer(message: Message) -> None:
            sent.append(message)

        headers = FORM | bearer(ALICE)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
            "client": ("127.0.0.1", 5000),
            "server": ("localhost", 80),
            "scheme": "http",
        }
        await self.gate.client.app(scope, receive, answer)
        status: int = sent[0]["status"]
        return status


def while_sending(senders: list[Sender], check: Callable[[], Awaitable[None]]) -> list[int]:
    """`check` is made once all are on their way; their statuses once they have gone."""

    async def run() -> list[int]:
        tasks = [asyncio.create_task(sender.send()) for sender in senders]
        try:
            async with asyncio.timeout(30):
                await asyncio.gather(*(sender.inside.wait() for sender in senders))
            await check()
        finally:
            for sender in senders:
                sender.leave.set()
        return await asyncio.gather(*tasks)

    portal = senders[0].gate.client.portal
    assert portal is not None
    return portal.call(run)


def announced(gate: Gate) -> str:
    files = [{"name": "adapter_config.json", "size": 1000}]
    upload = gate.client.post("/v1/uploads", json={"files": files}, headers=bearer(ALICE)).json()
    return f"/v1/uploads/{upload['id']}/files/adapter_config.json"


def test_uploads_under_way_at_once_are_bounded(open_gate: OpenGate) -> None:
    """Forms and files of uploads together; each tenant has its own, other requests pass, and what
    has ended, however it did, counts no more."""
    gate = open_gate(access=KEYS, tenants={"alice": TenantSettings(uploads=3)})
    gate.register()
    form = {"adapter": WEIGHTS, "config": CONFIG}

    async def one_more_is_refused() -> None:
        def asked() -> None:
            refused = gate.client.post("/v1/jobs", files=form, headers=bearer(ALICE))
            assert (refused.status_code, code_of(refused)) == (429, "too_many_uploads")
            assert refused.headers["Retry-After"] == "5"
            assert refused.headers["Connection"] == "close"
            refused = gate.client.put(put, content=b"x", headers=bearer(ALICE))
            assert (refused.status_code, code_of(refused)) == (429, "too_many_uploads")
            assert gate.client.get("/v1/jobs", headers=bearer(ALICE)).status_code == 200
            source = {"source": "upload:none"}
            answer = gate.client.post("/v1/jobs", json=source, headers=bearer(ALICE))
            assert answer.status_code == 404
            answer = gate.client.post("/v1/jobs", files=form, headers=bearer(BOB))
            assert answer.status_code == 202

        await asyncio.to_thread(asked)

    put = announced(gate)
    for _ in range(2):
        senders = [Sender(gate, "/v1/jobs"), Sender(gate, put, "PUT"), Sender(gate, "/v1/jobs")]
        assert while_sending(senders, one_more_is_refused) == [400, 400, 400]
    answer = gate.client.post("/v1/jobs", files=form, headers=bearer(ALICE))
    assert answer.status_code == 202


def test_the_bound_of_all_counts_without_an_own(open_gate: OpenGate) -> None:
    """`limits.uploads`."""
    gate = open_gate(access=KEYS, limits=LimitSettings(uploads=1))
    gate.register()

    async def one_more_is_refused() -> None:
        form = {"adapter": WEIGHTS, "config": CONFIG}
        answer = await asyncio.to_thread(
            gate.client.post, "/v1/jobs", files=form, headers=bearer(ALICE)
        )
        assert (answer.status_code, code_of(answer)) == (429, "too_many_uploads")

    while_sending([Sender(gate, "/v1/jobs")], one_more_is_refused)
