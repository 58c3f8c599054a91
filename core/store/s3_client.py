"""The boto3 client of a store, as its settings have it."""

from typing import TYPE_CHECKING, Final

from boto3.session import Session
from botocore.config import Config

from core.store.s3_errors import store_errors
from core.store.s3_heads import believe_whole_heads_only
from core.store.settings import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS: Final = 64  # the API's thread pool holds 40 threads, uploads some more


def make_client(session: Session, settings: S3Settings, endpoint_url: str | None) -> "S3Client":
    secret = settings.secret_access_key
    config = Config(
        signature_version="s3v4",  # a custom endpoint would get the retired SigV2 in its URLs
        s3={"addressing_style": settings.addressing_style},
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        max_pool_connections=_CONNECTIONS,
        request_checksum_calculation=settings.checksum,
        response_checksum_validation=settings.checksum,
    )
    with store_errors("set up", "store.s3"):
        client = session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=settings.region,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            config=config,
        )
        believe_whole_heads_only(client)
        return client
