"""Whether the object store does what the gate relies on."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from urllib.parse import urlsplit

import httpx2

from app.doctor.check import Check, failed, ok, warning
from app.doctor.clocks import clock_check
from core.errors import StoreError
from core.settings import Settings
from core.store import layout
from core.store.base import DirectUploads, ObjectExists, ObjectStore

_DATA = b"safelora-gate doctor\n"
_WRITERS = 8
_URL_SECONDS = 60
_PATIENCE_SECONDS = 10.0


def store_checks(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    """Raises `StoreError` where it does not do at all."""
    place = layout.probe(secrets.token_hex(8))
    try:
        yield from _put_and_get(settings, store, place)
        yield _conditional(store, f"{place}/once")
        if store.direct is not None:
            yield from _direct(store, store.direct, f"{place}/direct")
    finally:
        for key in list(store.list(f"{place}/")):
            store.delete(key)


def _put_and_get(settings: Settings, store: ObjectStore, place: str) -> Iterator[Check]:
    key, before = f"{place}/object", time.time()
    start = time.perf_counter()
    store.put(key, _DATA)
    put = time.perf_counter() - start
    info = store.info(key)
    if store.get(key) != _DATA or info is None or list(store.list(f"{place}/")) != [key]:
        do = "use a store that shows what was put at once"
        yield failed("store", "what was put is not what is read, or not on the list", do)
        return
    store.delete(key)
    if store.info(key) is not None:
        yield failed("store", "what was deleted is still there", "allow deleting (s3:DeleteObject)")
        return
    found = f"{settings.store.kind}: put, get, list and delete; a put takes {1000 * put:.0f} ms"
    yield ok("store", found)
    if info.modified is not None:
        yield clock_check("store clock", info.modified.timestamp(), float(int(before)))


def _conditional(store: ObjectStore, key: str) -> Check:
    """Of writers at once exactly one wins, and what it wrote is what is there."""

    def write(number: int) -> bool:
        try:
            store.put(key, b"%d" % number, if_absent=True)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(_WRITERS) as pool:
        won = [number for number, wins in enumerate(pool.map(write, range(_WRITERS))) if wins]
    if len(won) == 1 and store.get(key) == b"%d" % won[0]:
        return ok("store conditional put", f"of {_WRITERS} writers at once one won")
    return failed(
        "store conditional put",
        f"of {_WRITERS} writers at once {len(won)} won",
        "use a store that knows If-None-Match: results and keys rest on it",
    )


def _direct(store: ObjectStore, direct: DirectUploads, key: str) -> Iterator[Check]:
    """As callers do it, from here."""
    name, digest = "store public address", sha256(_DATA).hexdigest()
    signed = direct.put(key, size=len(_DATA), sha256=digest, seconds=_URL_SECONDS)
    where = urlsplit(signed.url).netloc
    do = (
        "see SAFELORA_STORE__S3__PUBLIC_ENDPOINT_URL, unless callers reach what this machine cannot"
    )
    try:
        with httpx2.Client(trust_env=False, timeout=_PATIENCE_SECONDS) as client:
            altered = client.put(signed.url, content=_DATA.upper(), headers=dict(signed.headers))
            put = client.put(signed.url, content=_DATA, headers=dict(signed.headers))
            url = store.presigned_url(key, filename="doctor", seconds=_URL_SECONDS) or ""
            got = client.get(url)
    except httpx2.HTTPError as error:
        yield warning(name, f"{where} is not reached: {type(error).__name__}", do)
        return
    if not put.is_success or got.content != _DATA:
        answers = f"{put.status_code} to a signed put, {got.status_code} to a signed get"
        yield warning(name, f"{where} answers {answers}", do)
        return
    yield ok(name, f"{where} takes signed puts and gets")
    yield _checksums(altered.is_success)


def _checksums(took_altered: bool) -> Check:
    name = "store checksums"
    if took_altered:
        return warning(
            name,
            "other bytes than the SHA-256 of a signed put were taken",
            "nothing: the gate reads such uploads again, and refuses them later than it could",
        )
    return ok(name, "other bytes than the SHA-256 of a signed put are refused")


def store_answers(store: ObjectStore) -> Check | None:
    """What is wrong, or None."""
    try:
        store.check()
    except StoreError as error:
        return failed("store", error.message, "see docs/settings.md#store, and the store's own log")
    return None
