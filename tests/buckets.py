"""A bucket of someone else's beside the gate's own, for adapters that come from S3."""

from boto3.session import Session

from core.store.s3 import S3Store
from core.store.settings import S3Access, S3Settings
from tests.servers import SeaweedServer

BUCKET = "adapters"


def access(seaweed: SeaweedServer) -> S3Access:
    """How the server is reached, no bucket named."""
    own = seaweed.settings()
    return S3Access(**own.model_dump(include=set(S3Access.model_fields)))


def foreign_bucket(seaweed: SeaweedServer, prefix: str) -> S3Store:
    """An empty folder of the other bucket, to be closed by the caller."""
    client = Session().client(
        "s3",
        endpoint_url=seaweed.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=seaweed.access_key_id,
        aws_secret_access_key=seaweed.secret_access_key,
    )
    try:
        client.create_bucket(Bucket=BUCKET)
    except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
        pass
    finally:
        client.close()
    own = access(seaweed).model_dump()
    return S3Store(S3Settings(bucket=BUCKET, prefix=prefix, **own))
