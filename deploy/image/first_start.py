"""What a gate needs once, before it serves: a bucket, its signing key published, a first key.

It acts on the settings of the environment, and what is there stays as it is. The store may take a
while to answer.
"""

import sys
import time
from contextlib import closing

from boto3.session import Session
from botocore.exceptions import ClientError

from core.attestation.keeping import create_key
from core.attestation.published import PublishedKeys
from core.errors import GateError, StoreError
from core.jobs import now
from core.keys import Keys
from core.scopes import SCOPES
from core.settings import Settings, load_settings
from core.store import open_store
from core.store.base import ObjectStore
from core.store.s3_client import make_client
from core.store.s3_errors import store_errors
from core.store.settings import S3Settings

PATIENCE_SECONDS = 60.0


def main() -> int:
    """0 done, 1 not."""
    try:
        settings = load_settings()
        store = open_store(settings.store)
        wait_for_store(store, settings.store.s3)
        prepare(settings, store)
    except GateError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return 1
    return 0


def prepare(settings: Settings, store: ObjectStore) -> None:
    """Raises `GateError`."""
    if settings.attestation.key is not None:
        record = create_key(settings.attestation.key, PublishedKeys(store), now())
        sys.stdout.write(f"attested by: {record.kid}\n")
    keys = Keys(store)
    if settings.access.keys or keys.exist():
        sys.stdout.write("key:         there is one; `safelora-gate keys create` makes another\n")
        return
    new = keys.create("default", list(SCOPES), None)
    sys.stdout.write(f"key:         {new.text}\n")
    sys.stdout.write("             shown this once; use it as: export SAFELORA_KEY=…\n")


def wait_for_store(store: ObjectStore, s3: S3Settings | None) -> None:
    """Until it answers, and has the bucket. Raises the last `StoreError`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if s3 is not None and s3.endpoint_url is not None:
                _make_bucket(s3)
            return store.check()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def _make_bucket(s3: S3Settings) -> None:
    """Unless it is there. What else is wrong with it the check tells. Raises `StoreError`."""
    client = make_client(Session(), s3, s3.endpoint_url)
    with closing(client), store_errors("make the bucket", s3.bucket):
        try:
            client.head_bucket(Bucket=s3.bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                client.create_bucket(Bucket=s3.bucket)


if __name__ == "__main__":
    sys.exit(main())
