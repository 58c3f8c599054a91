"""What lies in S3 and is not the gate's own: how it is named, what may be read, how it fails."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from core.errors import GateError, StoreError
from core.store.base import ObjectChanged, ObjectMissing
from core.store.checks import is_segment
from core.store.settings import S3Access, S3Settings, StoreSettings

if TYPE_CHECKING:
    from core.store.s3 import S3Store

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)")
_SETTING = re.compile(r"store\.s3(?:\.(\w+))?")
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_MAY_PASS_STATUS = frozenset({408, 429})
_MAY_PASS_CODE = frozenset({"ExpiredToken", "RequestTimeTooSkewed"})


@dataclass(frozen=True)
class S3Uri:
    """`key` ends in a slash where a folder is meant."""

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        return self.key.endswith("/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse_s3(text: str) -> S3Uri | None:
    """`s3://bucket/key`, the key as it is stored; None for anything else.

    Some stores, and proxies before them, resolve `..`, plain or encoded: no such key is taken.
    """
    match = _URI.fullmatch(text)
    if match is None or not all(map(_is_plain, match[2].removesuffix("/").split("/"))):
        return None
    return S3Uri(match[1], match[2])


def _is_plain(segment: str) -> bool:
    decoded = unquote(segment)
    return is_segment(segment) and is_segment(decoded) and "/" not in decoded


class S3Places:
    """The folders that `allow` names, and how they are reached: with `access`, else as the gate's
    own store, else as on AWS. Nothing in the own store's bucket is ever allowed."""

    def __init__(self, allow: Iterable[str], access: S3Access | None, store: StoreSettings) -> None:
        own = store.s3 if store.kind == "s3" else None
        self._own_bucket = own.bucket if own else None
        self._folders = [entry if entry.endswith("/") else f"{entry}/" for entry in allow]
        self._access = access or own or S3Access()

    def allows(self, uri: S3Uri) -> bool:
        inside = any(str(uri).startswith(folder) for folder in self._folders)
        return inside and uri.bucket != self._own_bucket

    @property
    def endpoint_url(self) -> str | None:
        """None: AWS."""
        return self._access.endpoint_url

    def open_bucket(self, bucket: str) -> "S3Store":
        """To be closed by the caller."""
        # Imported here: boto3 takes half a second and 30 MB that many gates need not pay.
        from core.store.s3 import S3Store

        access = self._access.model_dump(include=set(S3Access.model_fields))
        return S3Store(S3Settings(bucket=bucket, **access))


def folders_for(tenant: str, allow: Iterable[str]) -> list[str]:
    """The entries as they read for one tenant, whose name `{tenant}` stands for."""
    return [entry.replace("{tenant}", tenant) for entry in allow]


class Refusal(Protocol):
    """Makes the error that says that the source is at fault, not the gate."""

    def __call__(self, message: str, *, code: str) -> GateError: ...


@contextmanager
def said_of_source(
    uri: S3Uri, refusal: Refusal, *, section: str = "SAFELORA_SOURCES__S3"
) -> Iterator[None]:
    """The store's errors speak of the gate's own store: say them of the source instead.

    What the source refuses becomes a `refusal` (`source_not_found`, `source_unreadable`), other
    failures a `StoreError` (`source_unavailable`), which names the settings of `section`. A key
    that expired and a clock that is off are mended without the source's owner: failures, too.
    `ObjectMissing` and `ObjectChanged` pass.
    """
    try:
        yield
    except (ObjectMissing, ObjectChanged):
        raise
    except StoreError as error:
        status, said = refused_with(error)
        if status == 404:
            raise not_found(uri, refusal) from error
        if status:
            raise refusal(
                f"the gate may not read {uri} (the source answered {said}): ask its owner to grant"
                " that",
                code="source_unreadable",
            ) from error
        raise StoreError(
            f"{uri} could not be read: {advice_of(error, section)}", code="source_unavailable"
        ) from error


def not_found(uri: S3Uri, refusal: Refusal) -> GateError:
    return refusal(
        f"there is nothing at {uri}: check the bucket, the key and its last slash",
        code="source_not_found",
    )


def refused_with(error: StoreError) -> tuple[int, str]:
    """The status of an answer that will be the same the next time, and the answer in short; 0 for
    what may pass: no answer, a store that is at fault, a key that expired, a clock that is off."""
    status, code = _answer(error)
    passes = status in _MAY_PASS_STATUS or code in _MAY_PASS_CODE
    return (status if 400 <= status < 500 and not passes else 0), f"{status} {code}".rstrip()


def advice_of(error: StoreError, section: str) -> str:
    """What the error says after the key it names, of the settings of `section`."""

    def setting(found: re.Match[str]) -> str:
        return f"{section}__{found[1].upper()}" if found[1] else section

    return _SETTING.sub(setting, error.message.rpartition("': ")[2])


def _answer(error: StoreError) -> tuple[int, str]:
    """The HTTP status that S3 answered with, 0 if it did not, and its code for it, if any."""
    from botocore.exceptions import ClientError

    from core.store.s3_errors import status_of

    if not isinstance(error.__cause__, ClientError):
        return 0, ""
    status = status_of(error.__cause__)
    code = str(error.__cause__.response.get("Error", {}).get("Code", ""))
    # An answer without a body has its status for a code.
    return status, code if _CODE.fullmatch(code) and code != str(status) else ""
