"""One attempt: a POST to one receiver, and what came back, by code and never in its words."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore2
import httpx2
from httpcore2 import NetworkBackend

from core.errors import RequestError
from core.report import ENGINE_VERSION
from core.settings import SettingsInvalid, WebhookSettings
from core.webhooks.urls import ReceiverUrl, check_url
from worker.webhooks.backend import (
    Deadline,
    NotSent,
    PinnedBackend,
    Resolve,
    resolve,
)

GONE: Final = 410
_LONGEST_NUMBER: Final = 10


@dataclass(frozen=True)
class Outcome:
    """`error` is None if it was delivered. `retry_after`: seconds that the receiver asked for."""

    seconds: float
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None


class Sender:
    """Knows no proxy, no cookie, no password file, and follows no redirect: it speaks HTTP/1.1 over
    a connection made for this one request. Safe to share between threads."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolve: Resolve = resolve,
        network: NetworkBackend | None = None,
    ) -> None:
        self._allow = settings.allowed()
        self._timeout = settings.timeout
        self._resolve = resolve
        self._network = network or httpcore2.SyncBackend()
        self._tls = httpx2.create_ssl_context(trust_env=False)
        if settings.ca_file is not None:
            try:
                self._tls.load_verify_locations(settings.ca_file)
            except OSError as error:
                raise SettingsInvalid(
                    f"SAFELORA_WEBHOOKS__CA_FILE: {settings.ca_file} holds no certificates that can"
                    f" be read: {error.strerror or 'no PEM'}"
                ) from error

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Raises nothing that a receiver could bring about."""
        start = time.monotonic()
        status, error, retry_after = self._tried(url, headers, body)
        return Outcome(round(time.monotonic() - start, 3), status, error, retry_after)

    def _tried(
        self, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int | None, str | None, float | None]:
        try:
            receiver = check_url(url, self._allow, named="callback")
        except RequestError:  # it was allowed when it was taken
            return None, "url_not_allowed", None
        try:
            status, answered = self._answer(receiver, headers, body)
        except NotSent as error:
            return None, error.code, None
        except httpcore2.TimeoutException:
            return None, "timeout", None
        except httpcore2.ConnectError:
            return None, "connect_failed", None
        except httpcore2.NetworkError:
            return None, "connection_lost", None
        except httpcore2.ProtocolError:
            return None, "protocol_error", None
        return status, _error_of(status), _retry_after(answered)

    def _answer(
        self, receiver: ReceiverUrl, headers: dict[str, str], body: bytes
    ) -> tuple[int, str | None]:
        """Status and Retry-After; the answer's body is not read."""
        origin = receiver.origin
        backend = PinnedBackend(
            Deadline(self._timeout),
            anywhere=receiver.listed,
            resolve=self._resolve,
            network=self._network,
        )
        url = httpcore2.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.encode(),
            port=origin.port,
            target=receiver.target.encode(),
        )
        sent = {
            "Host": origin.authority,
            "User-Agent": f"safelora-gate/{ENGINE_VERSION}",
            "Content-Type": "application/json",
            "Connection": "close",
            **headers,
        }
        with (
            httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            asked = [v for k, v in response.headers if k.lower() == b"retry-after"]
            return response.status, asked[0].decode("latin-1") if asked else None


def _error_of(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if status == GONE:
        return "gone"
    return "redirect" if 300 <= status < 400 else "status"


def _retry_after(text: str | None) -> float | None:
    """Seconds; None for what is neither a number nor a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:_LONGEST_NUMBER])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year, or a zone, of twenty digits
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
