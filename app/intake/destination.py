"""Where in S3 a result may be brought to, besides the gate's own store."""

from app.access import Caller
from app.intake.form import not_available
from app.services import Services


def check_destination(_: Services, __: Caller, destination: str | None) -> None:
    """Raises `Unprocessable` (`not_available`)."""
    if destination is not None:
        raise not_available("destination")
