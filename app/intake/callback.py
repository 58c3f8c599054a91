"""Whom a job's end may be told to."""

from app.access import Caller
from app.intake.form import not_available
from app.services import Services


def check_callback(_: Services, __: Caller, url: str | None) -> None:
    """Raises `Unprocessable` (`not_available`)."""
    if url is not None:
        raise not_available("callback_url")
