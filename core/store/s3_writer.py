"""An object of S3 written as its bytes come: one part is sent while the next one fills."""

import hashlib
import logging
from base64 import b64encode
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from botocore.exceptions import ClientError

from core.errors import StoreError
from core.store.base import ObjectInfo, ObjectMissing, ObjectWriter
from core.store.s3_errors import PRECONDITION_FAILED, status_of, store_errors
from core.store.s3_stream import bare_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CompleteMultipartUploadRequestTypeDef

    from core.store.s3 import S3Store

PART: Final = 8 << 20
"""Bytes; a writer holds two parts. The 10000 that S3 takes come to 80 GB."""
WRITER: Final = "safelora-writer"
"""The metadata by which a writer knows its own object, where the answer to its put was lost."""

_log = logging.getLogger(__name__)


class S3Writer(ObjectWriter):
    """What is no longer than a part is one put; the rest is a multipart upload."""

    def __init__(
        self,
        store: "S3Store",
        client: "S3Client",
        bucket: str,
        place: str,
        key: str,
        if_absent: bool,
    ) -> None:
        self._store = store
        self._client = client
        self._bucket = bucket
        self._place = place
        self._key = key
        self._if_absent = if_absent
        self._mark = uuid4().hex
        self._filling = bytearray()
        self._size = 0
        self._upload_id = ""
        self._parts: list[CompletedPartTypeDef] = []
        self._sender: ThreadPoolExecutor | None = None
        self._sending: Future[CompletedPartTypeDef] | None = None

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._size += len(view)
        while view:
            if len(self._filling) == PART:  # only now, for the last part may be any size
                self._send()
            room = PART - len(self._filling)
            self._filling += view[:room]
            view = view[room:]

    def commit(self) -> ObjectInfo:
        if not self._upload_id:
            return self._store.put(self._key, bytes(self._filling), if_absent=self._if_absent)
        self._send()
        self._await_part()
        etag = self._complete()
        self._upload_id = ""
        self.abort()  # what is left of it: a thread
        return ObjectInfo(self._key, self._size, bare_etag(etag))

    def abort(self) -> None:
        if self._sending is not None:
            with suppress(StoreError):
                self._await_part()
        if self._sender is not None:
            self._sender.shutdown()
        if self._upload_id:
            try:
                with store_errors("abort the upload of", self._key):
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=self._place, UploadId=self._upload_id
                    )
            except StoreError as error:
                _log.warning("what was written of %s stays until it expires: %s", self._key, error)
            self._upload_id = ""

    def _send(self) -> None:
        """The part that is full goes on its way, once the one before it is there."""
        if not self._upload_id:
            with store_errors("store", self._key):
                begun = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._place, Metadata={WRITER: self._mark}
                )
                self._upload_id = begun["UploadId"]
            self._sender = ThreadPoolExecutor(1, thread_name_prefix="s3-writer")
        self._await_part()
        assert self._sender is not None  # noqa: S101  (made with the upload)
        full, self._filling = self._filling, bytearray()
        self._sending = self._sender.submit(self._sent, len(self._parts) + 1, full)

    def _await_part(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            self._parts.append(sending.result())

    def _sent(self, number: int, data: bytearray) -> "CompletedPartTypeDef":
        with store_errors("store", self._key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._place,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(data),
                ContentMD5=content_md5(data),
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

    def _complete(self) -> str:
        """The ETag. That the key is taken, or the upload gone, can also mean that the answer to an
        earlier try was lost: the mark tells."""
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._place,
            "UploadId": self._upload_id,
            "MultipartUpload": {"Parts": self._parts},
        }
        if self._if_absent:
            request["IfNoneMatch"] = "*"
        with store_errors("store", self._key):
            try:
                return self._client.complete_multipart_upload(**request)["ETag"]
            except ClientError as error:
                taken = self._if_absent and status_of(error) == PRECONDITION_FAILED
                gone = error.response.get("Error", {}).get("Code") == "NoSuchUpload"
                if not taken and not gone:
                    raise
                return self._etag_after(error, taken=taken)

    def _etag_after(self, error: ClientError, *, taken: bool) -> str:
        if taken:
            return self._store.etag_of_own(self._key, self._mark)
        there = self._client.head_object(Bucket=self._bucket, Key=self._place)
        if there["Metadata"].get(WRITER) != self._mark:
            raise ObjectMissing(
                f"What was written of {self._key!r} is gone: someone aborted it."
            ) from error
        return there["ETag"]


def content_md5(data: bytes | bytearray) -> str:
    """Content-MD5, against broken connections: every S3 knows it.

    Without a checksum SeaweedFS 4.48 takes a put that breaks off before its first byte for an
    empty object, and under a conditional put that would stand for ever.
    """
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
