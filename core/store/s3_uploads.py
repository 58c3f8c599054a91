"""Multipart uploads that were begun and never completed: their parts take up room, unseen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from core.store.base import Unfinished
from core.store.s3_errors import check_whole, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PAGE = 1000


def uploads(client: "S3Client", bucket: str, root: str, prefix: str) -> Iterator[Unfinished]:
    """Those of keys that begin with `prefix` under the store's own `root`, and of no others."""
    with store_errors("list the uploads of", prefix):
        pages = client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, Prefix=root + prefix, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            check_whole(page)
            for upload in page.get("Uploads", ()):
                if upload["Key"].startswith(root + prefix):
                    key = upload["Key"].removeprefix(root)
                    yield Unfinished(key, upload["UploadId"], upload["Initiated"])


def abort_upload(client: "S3Client", bucket: str, place: str, put: Unfinished) -> None:
    with store_errors("abort the upload of", put.key):
        try:
            client.abort_multipart_upload(Bucket=bucket, Key=place, UploadId=put.id)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
                raise
