"""Where a result may be brought to, besides the gate's own store."""

from app.access.callers import Caller
from core.destinations import destination_uri
from core.errors import Unprocessable
from core.policy import Policy
from core.settings import Settings


def check_destination(settings: Settings, caller: Caller, destination: str | None) -> None:
    """Raises `Unprocessable` (`destination_invalid`) or `Forbidden` (`destination_not_allowed`)."""
    if destination is not None:
        destination_uri(settings, caller.tenant, destination)


def check_brings_adapter(policy: Policy, destination: str | None) -> None:
    """Raises `Unprocessable` (`destination_without_adapter`)."""
    if destination is not None and not policy.publishes:
        raise Unprocessable(
            "the policy only scores, so there is no adapter to bring to the destination: leave the"
            " destination out, or choose another selection",
            code="destination_without_adapter",
            field="destination",
        )
