"""Senders of events, each with the headers that its own documentation has."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from standardwebhooks import Webhook

WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRET = "a-shared-secret-of-hooks"
TOKEN = "an-access-token-of-wandb"
Headers = dict[str, str]
Sender = Callable[[bytes], Headers]


def standard(body: bytes, *, event_id: str = "", at: int = 0, secret: str = WHSEC) -> Headers:
    """As OpenAI and Replicate send, by the library of Standard Webhooks."""
    sent_at, event_id = at or int(time.time()), event_id or f"evt_{uuid4().hex}"
    moment = datetime.fromtimestamp(sent_at, UTC)
    signature = Webhook(secret).sign(event_id, moment, body.decode())
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature,
    }


def mlflow(body: bytes, *, event_id: str = "", at: int = 0, secret: str = SECRET) -> Headers:
    sent_at, event_id = str(at or int(time.time())), event_id or str(uuid4())
    signed = f"{event_id}.{sent_at}.{body.decode()}".encode()
    mac = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return {
        "X-MLflow-Delivery-Id": event_id,
        "X-MLflow-Timestamp": sent_at,
        "X-MLflow-Signature": f"v1,{mac}",
    }


def huggingface(_: bytes) -> Headers:
    return {"X-Webhook-Secret": SECRET}


def bearer(_: bytes) -> Headers:
    """As SeaweedFS and MinIO send."""
    return {"Authorization": f"Bearer {SECRET}"}


def eventbridge(_: bytes) -> Headers:
    return {"X-Api-Key": SECRET}


def wandb(body: bytes) -> Headers:
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"Authorization": f"Bearer {TOKEN}", "X-Wandb-Signature": mac}


SENDERS: dict[str, Sender] = {
    "standard": standard,
    "mlflow": mlflow,
    "huggingface": huggingface,
    "s3": bearer,
    "wandb": wandb,
    "eventbridge": eventbridge,
}
SECRETS: dict[str, dict[str, Any]] = {
    kind: {"kind": kind, "secret": WHSEC if kind == "standard" else SECRET} for kind in SENDERS
}
SECRETS["wandb"]["token"] = TOKEN


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
