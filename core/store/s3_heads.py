"""Answers over HTTP whose head breaks off are no answers.

Python's http.client takes the end of the connection for the end of the headers: a length cut from
1040 to 10 would pass, and with it the beginning of an object for all of it. Here such a connection
counts as lost, and botocore asks again.
"""

from http.client import HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Head:
    """The lines of an answer's head, as http.client reads them."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readline(self, *limit: int) -> bytes:
        line: bytes = self._file.readline(*limit)
        if not line:
            raise RemoteDisconnected("the head of the answer broke off")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Response(HTTPResponse):
    fp: Any

    def begin(self) -> None:
        file = self.fp
        self.fp = _Head(file)
        super().begin()
        if self.fp is not None:
            self.fp = file


class _WholeHeads:
    """For botocore's connections."""

    response_class = _Response

    def _consume_headers(self, file: Any) -> None:
        """Of a "100 Continue": at the end of a connection botocore would read on for ever."""
        super()._consume_headers(_Head(file))  # type: ignore[misc]


class _Connection(_WholeHeads, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TLSConnection(_WholeHeads, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TLSConnection


def believe_whole_heads_only(client: "S3Client") -> None:
    """For every connection that the client opens from now on, to a proxy too."""
    session = client._endpoint.http_session  # type: ignore[attr-defined]
    session._pool_classes_by_scheme.update(http=_Pool, https=_TLSPool)
