"""Adapters that lie in S3: which may be read, which version was meant, and reading just that."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.archives import MAX_MEMBERS, SUFFIXES
from core.canonical import digest
from core.errors import Forbidden, TooLarge, Unprocessable
from core.jobs import InputFile
from core.s3_places import (
    Refusal,
    S3Places,
    S3Uri,
    folders_for,
    not_found,
    parse_s3,
    said_of_source,
)
from core.settings import Settings
from core.store.base import ObjectChanged, ObjectInfo, ObjectMissing
from core.store.layout import ADAPTER_CONFIG, INPUT_FILES
from core.tenant_limits import upload_limit

if TYPE_CHECKING:
    from core.store.s3 import S3Store

ARCHIVE_NAME = "archive"
"""The name of an `InputFile` that is one archive, to be opened with `core.archives`."""

_REFUSAL: Refusal = partial(Unprocessable, field="source")


def parse_s3_uri(text: str) -> S3Uri:
    """`s3://bucket/folder/` or `s3://bucket/archive.zip`, the key as it is stored.

    Raises `Unprocessable` (`source_invalid`): some stores resolve `..`, so no such key is taken.
    """
    uri = parse_s3(text)
    if uri is None:
        raise _REFUSAL(
            "the source is not of the form s3://bucket/folder/ or s3://bucket/archive.tar.gz",
            code="source_invalid",
        )
    if not (uri.is_folder or uri.key.endswith(SUFFIXES)):
        raise _REFUSAL(
            "the source is neither a folder nor an archive: end the URI of a folder with /, and"
            f" that of an archive with {', '.join(SUFFIXES)}",
            code="source_invalid",
        )
    return uri


@dataclass(frozen=True)
class Pinned:
    """The adapter's files, as far as they are there, or one archive; and what lies beside them.

    `version` differs whenever a file was put anew, the same bytes or others.
    """

    files: list[InputFile]
    other_names: list[str]
    version: str = ""


class S3Sources:
    """The buckets and folders that adapters may be read from. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stores: dict[str, S3Store] = {}
        self._lock = Lock()

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def pin(self, text: str, tenant: str) -> Pinned:
        """What lies at the URI now: the files of a folder, or one archive, each with its ETag, as
        far as this tenant's adapters may be read from there.

        Raises `Forbidden` (`source_not_allowed`), `Unprocessable` (`source_invalid`,
        `source_not_found`, `source_not_flat`, `source_unreadable`), `TooLarge` or `StoreError`.
        """
        uri = parse_s3_uri(text)
        self._check_allowed(uri, tenant)
        store = self._store(uri.bucket)
        with said_of_source(uri, _REFUSAL):
            keys = _folder_keys(store, uri) if uri.is_folder else [uri.key]
            infos = [info for key in keys if (info := store.info(key)) is not None]
        if not infos:
            raise not_found(uri, _REFUSAL)
        kept = [info for info in infos if not uri.is_folder or _name(info) in INPUT_FILES]
        self._check_sizes(kept, tenant)
        files = [_input_file(uri, info) for info in kept]
        others = [_name(info) for info in infos if info not in kept]
        return Pinned(files, others, digest([[i.key, i.etag, str(i.modified)] for i in kept]))

    def fetch(self, file: InputFile, path: Path, tenant: str) -> str:
        """Write the pinned version to `path`; returns its SHA-256 (hex).

        Raises `Unprocessable` (`source_changed`) if another version lies there by now, or
        `Forbidden` (`source_not_allowed`) if the tenant's adapters are no longer read from there.
        """
        uri = S3Uri(*(file.uri or "").removeprefix("s3://").split("/", 1))
        self._check_allowed(uri, tenant)
        try:
            with said_of_source(uri, _REFUSAL):
                return self._store(uri.bucket).get_file(uri.key, path, etag=file.etag)
        except (ObjectChanged, ObjectMissing) as error:
            raise Unprocessable(
                f"{uri} is no longer what it was when the job was accepted: post the job again",
                code="source_changed",
                uri=str(uri),
            ) from error

    def _places(self, tenant: str) -> S3Places:
        general, own = self._settings.sources, self._settings.tenant(tenant).sources
        allow = general.s3_allow if own is None else own
        return S3Places(folders_for(tenant, allow), general.s3, self._settings.store)

    def _check_allowed(self, uri: S3Uri, tenant: str) -> None:
        if not self._places(tenant).allows(uri):
            raise Forbidden(
                "adapters may not be read from there: ask the operator to allow the folder"
                " (SAFELORA_SOURCES__S3_ALLOW), or upload the files",
                code="source_not_allowed",
                field="source",
            )

    def _check_sizes(self, infos: list[ObjectInfo], tenant: str) -> None:
        limit, config = upload_limit(self._settings, tenant), self._settings.limits.config
        total = sum(info.size for info in infos)
        if total > limit:
            raise TooLarge(
                f"the source holds {total} bytes; {limit} are accepted",
                code="source_too_large",
            )
        for info in infos:
            if _name(info) == ADAPTER_CONFIG and info.size > config:
                raise TooLarge(
                    f"{ADAPTER_CONFIG} has {info.size} bytes; {config} are accepted",
                    code="source_too_large",
                )

    def _store(self, bucket: str) -> "S3Store":
        """One client a bucket: the allow-list keeps them few."""
        with self._lock:
            if bucket not in self._stores:
                access, store = self._settings.sources.s3, self._settings.store
                self._stores[bucket] = S3Places([], access, store).open_bucket(bucket)
            return self._stores[bucket]


def _folder_keys(store: "S3Store", uri: S3Uri) -> list[str]:
    keys = list(store.list(uri.key, limit=MAX_MEMBERS + 1))
    if len(keys) > MAX_MEMBERS or any("/" in key.removeprefix(uri.key) for key in keys):
        raise _REFUSAL(
            f"{uri} holds folders, or more than {MAX_MEMBERS} files: put the adapter's files in a"
            " folder of their own",
            code="source_not_flat",
        )
    return keys


def _input_file(uri: S3Uri, info: ObjectInfo) -> InputFile:
    place = S3Uri(uri.bucket, info.key)
    name = _name(info) if uri.is_folder else ARCHIVE_NAME
    return InputFile(name=name, size=info.size, uri=str(place), etag=info.etag)


def _name(info: ObjectInfo) -> str:
    return info.key.rpartition("/")[2]
