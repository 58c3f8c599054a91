"""What a model hub refuses, in the gate's own words: what to do, and nothing that it sent.

Its answers name signed URLs, and so do huggingface_hub's messages: neither is quoted or chained.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from httpx2 import HTTPError, InvalidURL
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core.errors import AlignmentError, GateError, StoreError
from core.hub_places import HubUri

_TOKEN = "SAFELORA_ALIGNMENTS__HUB_TOKEN"  # noqa: S105  (a setting's name)
_ENDPOINT = "SAFELORA_ALIGNMENTS__HUB_ENDPOINT"
_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 502, 503, 504})


def may_pass(error: HTTPError) -> bool:
    """Whether asking again may help."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _WORTH_ANOTHER_TRY
    return True


@contextmanager
def said_of_model(uri: HubUri) -> Iterator[None]:
    """Turn what httpx2 and huggingface_hub raise into `AlignmentError` (`source_not_found`,
    `source_unreadable`), or `StoreError` (`source_unavailable`) for what may pass."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise AlignmentError(
            f"{uri} cannot be read: the worker runs with HF_HUB_OFFLINE. Unset it, or register"
            " folders",
            code="source_unreadable",
        ) from None
    except HTTPError as error:
        raise _of(error, uri) from None
    except InvalidURL:
        raise _unavailable(uri, "an address of the hub is no URL") from None


def no_model(uri: HubUri) -> StoreError:
    return _unavailable(uri, "what it answers describes no model")


def no_sizes(uri: HubUri) -> AlignmentError:
    return AlignmentError(
        f"{uri} cannot be read: the hub does not tell the sizes of its files. If it is gated, set"
        f" {_TOKEN} to a token that may read it; else set {_ENDPOINT} to another hub",
        code="source_unreadable",
    )


def other_range(uri: HubUri) -> AlignmentError:
    return AlignmentError(
        f"{uri} cannot be read in parts: the hub, or a proxy before it, sends other bytes than"
        f" those asked for. Set {_ENDPOINT} to a hub that serves ranges",
        code="source_unreadable",
    )


def _of(error: HTTPError, uri: HubUri) -> GateError:
    if not isinstance(error, HfHubHTTPError):
        return _unavailable(uri, f"the hub does not answer ({type(error).__name__})")
    status = error.response.status_code
    if may_pass(error):
        return _unavailable(uri, f"the hub answered {status}")
    code, message = _refused(error, status, uri)
    return AlignmentError(message, code=code)


def _refused(error: HfHubHTTPError, status: int, uri: HubUri) -> tuple[str, str]:
    """Code and message. A hub tells nobody that a private model exists, so 401 may mean both."""
    if isinstance(error, GatedRepoError):
        return "source_unreadable", (
            f"{uri} is gated: accept its terms on the hub, and set {_TOKEN} to a token of that"
            " account"
        )
    if isinstance(error, RevisionNotFoundError | RemoteEntryNotFoundError):
        return "source_not_found", f"the hub has no such revision of it: check {uri}"
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return "source_not_found", (
            f"there is no {uri} on the hub that the gate may see: check the name; if it is"
            f" private, set {_TOKEN} to a token that may read it"
        )
    if status == 401:
        return "source_unreadable", (
            f"the hub does not know the gate's token, or asks for one to read {uri}: correct"
            f" {_TOKEN}"
        )
    if isinstance(error, DisabledRepoError):
        return "source_unreadable", f"access to {uri} is disabled by the hub: choose another model"
    return "source_unreadable", (
        f"the hub refuses the gate {uri} (it answered {status}): check that the token in {_TOKEN}"
        " may read it"
    )


def _unavailable(uri: HubUri, why: str) -> StoreError:
    return StoreError(
        f"{uri} could not be read: {why}. Check {_ENDPOINT} and the network, or try again later",
        code="source_unavailable",
    )
