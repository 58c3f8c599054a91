"""Answers of S3 that break off anywhere: an error, or what was asked for, and nothing else."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.session import Session

from core.errors import StoreError
from core.store.s3 import S3Store
from core.store.settings import S3Settings
from tests.core.store.faults import CuttingProxy, running
from tests.servers import SeaweedServer

DATA = b'{"a record": "that is small"}'
NAMES = ["folder/a", "folder/b", "folder/inner/c"]
LONGEST, STEP = 1400, 23  # bytes of an answer, head and body


@pytest.fixture(scope="module")
def settings(seaweed: SeaweedServer) -> Iterator[S3Settings]:
    """Without a second attempt: each cut is seen."""
    settings = seaweed.settings(prefix="cut-answers").model_copy(update={"max_attempts": 1})
    store = S3Store(settings)
    for name in NAMES:
        store.put(name, DATA)
    yield settings
    store.close()


OPERATIONS: dict[str, tuple[Callable[[S3Store], Any], Any]] = {
    "get": (lambda store: store.get("folder/a"), DATA),
    "a range": (lambda store: store.get("folder/a", start=2, length=5), DATA[2:7]),
    "info": (lambda store: getattr(store.info("folder/a"), "size", None), len(DATA)),
    "list": (lambda store: sorted(store.list("folder/")), NAMES),
    "folders": (lambda store: list(store.folders("folder/")), ["inner"]),
    "put": (lambda store: store.put("again", DATA).size, len(DATA)),
    "check": (lambda store: store.check(), None),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_that_breaks_off_is_an_error_or_whole(settings: S3Settings, name: str) -> None:
    """Wherever it is cut: between two headers it may still look like an answer."""
    ask, expected = OPERATIONS[name]
    port = urlsplit(settings.endpoint_url or "").port
    assert port is not None
    refused, session = 0, Session()
    for keep in range(0, LONGEST, STEP):
        with running(CuttingProxy(port, keep=keep, cuts=1)) as proxy:
            store = S3Store(
                settings.model_copy(update={"endpoint_url": proxy.url}), session=session
            )
            try:
                assert ask(store) == expected, keep
            except StoreError:
                refused += 1
            finally:
                store.close()
    assert refused
