"""What boto3 raises, as the store's own errors: what failed, and what to check.

Messages name settings, never their values, and quote nothing of the store's answer but its code.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from core.errors import StoreError
from core.store.base import ObjectChanged, ObjectMissing

CONFLICT = 409
PRECONDITION_FAILED = 412

_NOT_FOUND = 404
_RANGE_NOT_SATISFIABLE = 416
_NO_ANSWER = (EndpointConnectionError, HTTPClientError, IncompleteReadError, HTTPError)
_ADVICE = {
    "NoSuchBucket": "Create the bucket, or correct store.s3.bucket.",
    "InvalidAccessKeyId": "Correct store.s3.access_key_id.",
    "SignatureDoesNotMatch": "Correct store.s3.secret_access_key, and see that the clock is right.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "AuthorizationHeaderMalformed": "Correct store.s3.region.",
    "PermanentRedirect": "Correct store.s3.region or store.s3.endpoint_url.",
    "SlowDown": "The store is overloaded: try again later.",
}
_ADVICE_BY_STATUS = {
    403: "Allow these credentials to read, write, list and delete in the bucket (store.s3).",
    404: "See that the bucket exists: store.s3.bucket, store.s3.endpoint_url.",
    CONFLICT: "Other writers hold the key: try again.",
    503: "The store is overloaded: try again later.",
}


class RangeOutside(StoreError):
    """The range begins at or past the end of the object."""

    code = "range_outside"


def status_of(error: ClientError) -> int:
    """The HTTP status of the store's answer, 0 if it sent none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


@contextmanager
def store_errors(operation: str, key: str) -> Iterator[None]:
    """Turn what boto3 raises inside into a `StoreError` that names `operation` and `key`.

    An answer whose head was cut off comes as one that lacks what every answer has: a `KeyError`.
    """
    try:
        yield
    except (ClientError, Boto3Error, BotoCoreError, HTTPError) as error:
        raise _translated(error, operation, key) from error
    except (KeyError, ResponseParserError) as error:
        raise StoreError(
            f"Could not {operation} {key!r}: the object store's answer broke off."
            " Check the network."
        ) from error


def check_whole(page: Mapping[str, Any]) -> None:
    """Raises `KeyError` for a page of a listing that broke off: it would look like an empty one."""
    _ = page["IsTruncated"]


def _translated(error: Exception, operation: str, key: str) -> StoreError:
    # A failed upload hides the store's answer behind a Boto3Error.
    cause = error.__context__ if isinstance(error, Boto3Error) else error
    if isinstance(cause, ClientError):
        return _answered(cause, operation, key)
    return StoreError(f"Could not {operation} {key!r}: {_unanswered(cause)}")


def _answered(error: ClientError, operation: str, key: str) -> StoreError:
    status, code = status_of(error), error.response.get("Error", {}).get("Code", "no code")
    if status == _NOT_FOUND and code in ("NoSuchKey", "404", "NotFound"):
        return ObjectMissing(f"There is no object {key!r}.")
    if status == PRECONDITION_FAILED:
        return ObjectChanged(f"{key!r} was replaced since it was last seen: start again.")
    if status == _RANGE_NOT_SATISFIABLE:
        return RangeOutside(f"{key!r} ends before the range asked for.")
    advice = _ADVICE.get(code) or _ADVICE_BY_STATUS.get(status, "See the object store's own log.")
    return StoreError(
        f"Could not {operation} {key!r}: the object store answered {status} {code}. {advice}"
    )


def _unanswered(error: BaseException | None) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "no credentials. Set store.s3.access_key_id and secret_access_key, or let boto3 find "
            "some (environment, profile, role)."
        )
    if isinstance(error, SSLError):
        return "TLS failed. Check the store's certificate and that store.s3.endpoint_url is https."
    if isinstance(error, _NO_ANSWER):
        return "the object store does not answer. Check store.s3.endpoint_url and the network."
    return f"{type(error).__name__}. Check the store.s3 settings."
