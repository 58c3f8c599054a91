"""How long things stay: their age, and earlier results, which stay as long as they are used."""

from datetime import datetime, timedelta

from core.attestation.published import PublishedKeys
from core.jobs import Commit
from core.records import Records
from core.settings import Ages
from core.store import layout
from core.store.base import ObjectInfo, ObjectMissing, ObjectStore
from core.store.layout import ADAPTER_MODEL


def is_older(info: ObjectInfo | None, age: timedelta, now: datetime) -> bool:
    """False also of what is not there, or has no known age."""
    return info is not None and info.modified is not None and now - info.modified > age


def earlier_result(
    records: Records, tenant: str, recipe: str, ages: Ages, now: datetime
) -> Commit | None:
    """The result of this recipe if all of it is there: it may be answered with, and stays a while.

    Not one whose adapter lacks the attestation that this gate gives by now. Raises `StoreError`.
    """
    commit = records.committed(tenant, recipe)
    if commit is None:
        return None
    # Renewed first: then no file that is seen here is about to expire.
    kept = _renewed(records.store, layout.commit(tenant, recipe), ages, now)
    whole = kept and _is_whole(records.store, tenant, commit)
    return commit if whole and is_vouched_for(records.store, commit) else None


def commit_result(
    records: Records, tenant: str, commit: Commit, ages: Ages, now: datetime
) -> Commit:
    """Name the winner of a recipe, its files being stored: the first commit stands, and is
    returned, unless its files are gone, or it lacks an attestation that this one has. Raises
    `StoreError`."""
    standing = records.commit(tenant, commit)
    if standing is commit:  # ours is the first
        return commit
    key = layout.commit(tenant, commit.recipe)
    lost = standing.output != commit.output and not _is_whole(records.store, tenant, standing)
    outdone = commit.signing_key is not None and not is_vouched_for(records.store, standing)
    if lost or outdone:
        records.store.put(key, commit.as_bytes())
        return commit
    _renewed(records.store, key, ages, now)
    return standing


def is_vouched_for(store: ObjectStore, commit: Commit) -> bool:
    """Whether its adapter, if it has one, is attested by a key that is trusted; where none is,
    nothing better can be had. Raises `StoreError`."""
    if commit.file(ADAPTER_MODEL) is None:
        return True
    keys = PublishedKeys(store)
    if commit.signing_key is not None and keys.is_trusted(commit.signing_key):
        return True
    return not keys.any_trusted()


def _renewed(store: ObjectStore, key: str, ages: Ages, now: datetime) -> bool:
    """Put a commit of more than half its age anew, as it is; False if it is gone."""
    if ages.results is None:
        return True
    info = store.info(key)
    if is_older(info, timedelta(days=ages.results) / 2, now):
        try:
            store.put(key, store.get(key))
        except ObjectMissing:
            return False
    return info is not None


def _is_whole(store: ObjectStore, tenant: str, commit: Commit) -> bool:
    return all(
        store.info(layout.output(tenant, commit.recipe, commit.output, file.name)) is not None
        for file in commit.files
    )
