"""Signed URLs by which others put objects into S3, so that bytes need not cross the gate."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from core.store.base import SignedPut
from core.store.s3_errors import check_whole, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef


class S3Direct:
    """`public` signs for the address that callers reach; `place` gives a key's name in the bucket.

    Sizes are signed with the URL, and a SHA-256 too: S3 itself refuses what differs.
    """

    def __init__(
        self, client: "S3Client", public: "S3Client", bucket: str, place: Callable[[str], str]
    ) -> None:
        self._client = client
        self._public = public
        self._bucket = bucket
        self._place = place

    def put(self, key: str, *, size: int, sha256: str | None, seconds: int) -> SignedPut:
        checksum = {} if sha256 is None else {"ChecksumSHA256": _base64(sha256)}
        with store_errors("sign a URL for", key):
            url = self._public.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._place(key),
                    "ContentLength": size,
                    **checksum,
                },
                ExpiresIn=seconds,
            )
        headers = {} if sha256 is None else {"x-amz-checksum-sha256": _base64(sha256)}
        return SignedPut(url, headers)

    def begin(self, key: str) -> str:
        with store_errors("begin an upload of", key):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=self._place(key))[
                "UploadId"
            ]

    def part_url(self, key: str, upload_id: str, number: int, *, size: int, seconds: int) -> str:
        with store_errors("sign a URL for", key):
            return self._public.generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._place(key),
                    "UploadId": upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=seconds,
            )

    def parts(self, key: str, upload_id: str) -> Mapping[int, int] | None:
        listed = self._listed(key, upload_id)
        return None if listed is None else {number: size for number, size, _ in listed}

    def complete(self, key: str, upload_id: str) -> None:
        listed = self._listed(key, upload_id)
        if listed is None:
            return
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, _, etag in listed
        ]
        with store_errors("complete the upload of", key):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=self._place(key),
                    UploadId=upload_id,
                    MultipartUpload={"Parts": parts},
                )
            except ClientError as error:
                if not _is_no_such_upload(error):  # completed by another caller meanwhile
                    raise

    def _listed(self, key: str, upload_id: str) -> list[tuple[int, int, str]] | None:
        """(number, size, ETag) of each part, ascending."""
        found: list[tuple[int, int, str]] = []
        with store_errors("list the parts of", key):
            try:
                pages = self._client.get_paginator("list_parts").paginate(
                    Bucket=self._bucket, Key=self._place(key), UploadId=upload_id
                )
                for page in pages:
                    check_whole(page)
                    found += [
                        (p["PartNumber"], p["Size"], p["ETag"]) for p in page.get("Parts", ())
                    ]
            except ClientError as error:
                if _is_no_such_upload(error):
                    return None
                raise
        return sorted(found)


def _is_no_such_upload(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "NoSuchUpload"


def _base64(sha256: str) -> str:
    return b64encode(bytes.fromhex(sha256)).decode()
