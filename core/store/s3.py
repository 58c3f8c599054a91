"""Objects in an S3-compatible store, through boto3."""

import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote
from uuid import uuid4
from weakref import WeakSet

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.exceptions import ClientError

from core.errors import StoreError
from core.store.base import ObjectExists, ObjectInfo, ObjectMissing, ObjectWriter, Unfinished
from core.store.checks import check_key, check_listing, check_range
from core.store.files import CHUNK, Digest, save_hashed, unreadable
from core.store.s3_client import make_client
from core.store.s3_direct import S3Direct
from core.store.s3_errors import (
    CONFLICT,
    PRECONDITION_FAILED,
    RangeOutside,
    check_whole,
    status_of,
    store_errors,
)
from core.store.s3_stream import ObjectStream, bare_etag, check_answer
from core.store.s3_uploads import abort_upload, uploads
from core.store.s3_writer import WRITER, S3Writer, content_md5
from core.store.settings import S3Settings
from core.store.together import Together

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        GetObjectRequestTypeDef,
        ListObjectsV2RequestPaginateTypeDef,
        ObjectTypeDef,
    )

_PART = 16 << 20
_PART_THREADS = 4  # with _PART, the memory one upload takes
_COPIED_AT_ONCE = 1 << 30  # S3 copies up to 5 GiB in one request, and answers when it is done
_PAGE = 1000
_CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8)  # seconds before the next try


class S3Store:
    """One bucket, or a folder of it. Safe to share between threads: boto3's clients are.

    Stores made one after the other may share a `session`, and with it what boto3 loads: it makes
    the second in 4 ms instead of 50. Making them is not safe to do from several threads at once.
    """

    def __init__(self, settings: S3Settings, *, session: Session | None = None) -> None:
        self._bucket = settings.bucket
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._patience = settings.max_attempts
        # Never boto3's default session: it is shared with whoever else uses boto3.
        session = session or Session()
        self._client = make_client(session, settings, settings.endpoint_url)
        public = settings.public_endpoint_url
        self._public_client = make_client(session, settings, public) if public else self._client
        self._open: WeakSet[ObjectStream] = WeakSet()
        self._lock = Lock()
        self._given_up = Event()
        self._together = Together()
        self._client.meta.events.register("before-send.s3", partial(_refuse, self._given_up))

    def cut(self) -> None:
        """From any thread: what reads from the store, or asks it, ends with a `StoreError`.

        Reading ends at once, a question that waits for its answer when the answer has come or
        `read_timeout` is over: it is not asked again.
        """
        self._given_up.set()
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.cut()

    def close(self) -> None:
        """Close the connections that are kept open between requests."""
        self._together.close()
        self._client.close()
        self._public_client.close()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        place = self._place(key)
        with store_errors("store", key):
            if if_absent:
                etag = self._put_new(key, data)
            else:
                etag = self._client.put_object(
                    Bucket=self._bucket, Key=place, Body=data, ContentMD5=content_md5(data)
                )["ETag"]
        return ObjectInfo(key, len(data), bare_etag(etag))

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        self._upload(key, path)
        return self._stored(key)

    def put_all(self, objects: Mapping[str, bytes | Path]) -> None:
        def put(item: tuple[str, bytes | Path]) -> None:
            key, content = item
            if isinstance(content, bytes):
                self.put(key, content)
            else:
                self._upload(key, content)

        self._together.each(put, list(objects.items()))

    def commit_all(self, writers: Sequence[ObjectWriter]) -> None:
        self._together.each(lambda writer: writer.commit(), writers)

    def _upload(self, key: str, path: Path) -> None:
        place = self._place(key)
        transfer = TransferConfig(
            multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=_PART_THREADS
        )
        with store_errors("store", key):
            try:
                self._client.upload_file(str(path), self._bucket, place, Config=transfer)
            except OSError as error:
                raise unreadable(path, error) from error

    def writer(self, key: str, *, if_absent: bool = False) -> ObjectWriter:
        return S3Writer(self, self._client, self._bucket, self._place(key), key, if_absent)

    def copy(self, source: str, target: str, *, etag: str | None = None) -> ObjectInfo:
        place, transfer = (
            self._place(target),
            TransferConfig(
                multipart_threshold=_COPIED_AT_ONCE, multipart_chunksize=_COPIED_AT_ONCE
            ),
        )
        with store_errors("copy", source):
            self._client.copy(
                {"Bucket": self._bucket, "Key": self._place(source)},
                self._bucket,
                place,
                ExtraArgs={"CopySourceIfMatch": f'"{etag}"'} if etag is not None else None,
                Config=transfer,
            )
        return self._stored(target)

    @property
    def direct(self) -> S3Direct:
        return S3Direct(self._client, self._public_client, self._bucket, self._place)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        check_range(start, length)
        if length == 0:  # S3 knows no empty range
            if self.info(key) is None:
                raise ObjectMissing(f"There is no object {key!r}.")
            return b""
        try:
            with self._stream(key, start=start, length=length) as stream:
                return stream.read()
        except RangeOutside:
            return b""

    def get_file(
        self, key: str, path: Path, *, etag: str | None = None, digest: Digest | None = None
    ) -> str:
        with self._stream(key, etag=etag) as stream:
            return save_hashed(stream, path, digest)

    def open(self, key: str) -> BinaryIO:
        return self._stream(key)

    def open_range(self, key: str, *, start: int, length: int, etag: str) -> io.BufferedReader:
        """A stream of `length` bytes (1 at least) from `start` on, and of no more, to be closed by
        the caller.

        Raises `ObjectMissing`, or `ObjectChanged` if the object is not the version of `etag`, as
        reading does where the connection was lost meanwhile.
        """
        check_range(start, length)
        return self._stream(key, start=start, length=length, etag=etag)

    def info(self, key: str) -> ObjectInfo | None:
        place = self._place(key)
        try:
            with store_errors("look up", key):
                answer = self._client.head_object(Bucket=self._bucket, Key=place)
                etag, modified = bare_etag(answer["ETag"]), answer.get("LastModified")
                return ObjectInfo(key, answer["ContentLength"], etag, modified)
        except ObjectMissing:
            return None

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        """Keys that begin with `prefix`, in the store's own order, those after `after` only.

        AWS sorts by the bytes of the key. SeaweedFS sorts folder by folder, so that `a/b` comes
        before `a-b`. In both, the last key of one listing as `after` of the next goes on exactly
        there.
        """
        check_listing(prefix, after)
        entries = self._entries(prefix, after, _PAGE if limit is None else limit)
        return islice((entry.key for entry in entries), limit)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """As `list`; an ETag that the store does not name is empty."""
        check_listing(prefix, after)
        return self._entries(prefix, after, _PAGE)

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects right under `prefix` (which ends in a slash), in the store's own order."""
        check_listing(prefix, "")
        with store_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, Delimiter="/"
            )
            for page in pages:
                check_whole(page)
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):  # a folder made in a web console
                        if "ETag" not in entry:
                            raise StoreError(
                                f"Could not list {prefix!r}: the store names no ETags, by which"
                                " versions are told apart. Read from another."
                            )
                        yield _listed(entry, self._prefix)

    def folders(self, prefix: str) -> Iterator[str]:
        check_listing(prefix, "")
        place = self._prefix + prefix
        with store_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=place, Delimiter="/"
            )
            for page in pages:
                check_whole(page)
                for entry in page.get("CommonPrefixes", ()):
                    yield entry["Prefix"].removeprefix(place).removesuffix("/")

    def delete(self, key: str) -> None:
        place = self._place(key)
        with store_errors("delete", key):
            self._client.delete_object(Bucket=self._bucket, Key=place)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        check_listing(prefix, "")
        return uploads(self._client, self._bucket, self._prefix, prefix)

    def give_up(self, put: Unfinished) -> None:
        abort_upload(self._client, self._bucket, self._place(put.key), put)

    def presigned_url(self, key: str, *, filename: str, seconds: int) -> str | None:
        place = self._place(key)
        with store_errors("sign a URL for", key):
            return self._public_client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": place,
                    "ResponseContentDisposition": _attachment(filename),
                },
                ExpiresIn=seconds,
            )

    def check(self) -> None:
        # A listing, for HeadBucket does not say what is wrong: its answers have no body.
        with store_errors("list", "store.s3.bucket"):
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
            check_whole(page)

    def _place(self, key: str) -> str:
        check_key(key)
        return self._prefix + key

    def _stored(self, key: str) -> ObjectInfo:
        info = self.info(key)
        if info is None:
            raise ObjectMissing(f"{key!r} was deleted as soon as it was stored.")
        return info

    def _put_new(self, key: str, data: bytes) -> str:
        """Put unless the key is taken; the new object's ETag. A conflict is no answer yet: again.

        The answer to a put that succeeded can be lost, and boto3's next try then finds the key
        taken: by ourselves. The writer's mark in the object's metadata tells.
        """
        writer = uuid4().hex
        pauses = iter(_CONFLICT_PAUSES)
        while True:
            try:
                return self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._place(key),
                    Body=data,
                    ContentMD5=content_md5(data),
                    IfNoneMatch="*",
                    Metadata={WRITER: writer},
                )["ETag"]
            except ClientError as error:
                if status_of(error) == PRECONDITION_FAILED:
                    return self.etag_of_own(key, writer)
                pause = next(pauses, None)
                if status_of(error) != CONFLICT or pause is None:
                    raise
            time.sleep(pause)

    def etag_of_own(self, key: str, writer: str) -> str:
        """The ETag of the object that `writer` put. Raises `ObjectExists` if another did."""
        try:
            with store_errors("look up", key):
                there = self._client.head_object(Bucket=self._bucket, Key=self._place(key))
            if there["Metadata"].get(WRITER) == writer:
                return there["ETag"]
        except ObjectMissing:  # taken, and deleted since
            pass
        raise ObjectExists(f"{key!r} exists already: another writer was first.")

    def _stream(
        self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None
    ) -> io.BufferedReader:
        place = self._place(key)

        def fetch(byte_range: str | None, etag: str | None) -> "GetObjectOutputTypeDef":
            request: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": place}
            if byte_range is not None:
                request["Range"] = byte_range
            if etag is not None:
                request["IfMatch"] = f'"{etag}"'
            with store_errors("read", key):
                answer = self._client.get_object(**request)
            try:
                check_answer(key, answer, byte_range, etag)
            except StoreError:
                answer["Body"].close()
                raise
            return answer

        last = "" if length is None else start + length - 1
        byte_range = None if start == 0 and length is None else f"bytes={start}-{last}"
        first = fetch(byte_range, etag)
        stream = ObjectStream(key, first, start, fetch, self._patience)
        with self._lock:
            self._open.add(stream)
        if self._given_up.is_set():
            stream.cut()
        return io.BufferedReader(stream, CHUNK)

    def _entries(self, prefix: str, after: str, page_size: int) -> Iterator[ObjectInfo]:
        request: ListObjectsV2RequestPaginateTypeDef = {
            "Bucket": self._bucket,
            "Prefix": self._prefix + prefix,
            "PaginationConfig": {"PageSize": min(page_size, _PAGE)},
        }
        if after:
            request["StartAfter"] = self._prefix + after
        with store_errors("list", prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                check_whole(page)
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):  # a folder made in a web console
                        yield _listed(entry, self._prefix)


def _listed(entry: "ObjectTypeDef", root: str) -> ObjectInfo:
    etag, modified = bare_etag(entry.get("ETag", "")), entry.get("LastModified")
    return ObjectInfo(entry["Key"].removeprefix(root), entry["Size"], etag, modified)


def _refuse(given_up: Event, **_event: object) -> None:
    if given_up.is_set():
        raise StoreError("The store was asked, though nobody waits for it any more.")


def _attachment(filename: str) -> str:
    """A Content-Disposition that saves under `filename`, whatever it holds (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
