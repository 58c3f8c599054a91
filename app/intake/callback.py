"""Whom a job's end may be told to."""

from app.access.callers import Caller
from app.receivers import check_receiver
from app.services import Services


def check_callback(services: Services, caller: Caller, url: str | None) -> None:
    """As far as that can be judged before the URL is used: its addresses are at each connection.

    Raises `Unprocessable` (`url_invalid`), `Forbidden` (`url_not_allowed`,
    `webhooks_disabled`), `Conflict` (`webhook_secret_missing`) or `StoreError`.
    """
    if url is not None:
        check_receiver(services, caller.tenant, url, named="callback")
