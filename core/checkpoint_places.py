"""Where checkpoints may be read from: folders of the gate's machine, S3, a model hub."""

import re
from pathlib import Path

from core.errors import Forbidden, Unprocessable
from core.hub_places import HubUri, hub_allows, parse_hub
from core.s3_places import S3Places, S3Uri, parse_s3
from core.settings import AlignmentSettings
from core.store.settings import StoreSettings

CheckpointPlace = Path | S3Uri | HubUri

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def allowed_place(
    text: str, field: str, settings: AlignmentSettings, store: StoreSettings
) -> CheckpointPlace:
    """The place that `text` means, where the operator allows it; looks at no network.

    A folder has every link resolved, so that what was allowed is what will be read; an S3 prefix
    ends in a slash. Raises `Unprocessable` (`source_invalid`) and `Forbidden`
    (`source_not_allowed`), whether anything lies there or not; messages call the text `field`.
    """
    if not _SCHEME.match(text):
        return _folder(text, field, settings)
    if s3 := parse_s3(text if text.endswith("/") else f"{text}/"):
        if not checkpoint_buckets(settings, store).allows(s3):
            raise _not_allowed(field, "S3 prefix", "S3_ALLOW")
        return s3
    if hub := parse_hub(text):
        if not hub_allows(settings.hub_allow, hub):
            raise _not_allowed(field, "model of the hub", "HUB_ALLOW")
        return hub
    raise Unprocessable(
        f"{field} is neither an absolute path on the gate's machine, nor of the form"
        " s3://bucket/prefix/ or hf://org/name@revision, the revision a branch, a tag or a commit"
        " (nothing under refs/)",
        code="source_invalid",
        field=field,
    )


def checkpoint_buckets(settings: AlignmentSettings, store: StoreSettings) -> S3Places:
    return S3Places(settings.s3_allow, settings.s3, store)


def _folder(text: str, field: str, settings: AlignmentSettings) -> Path:
    folder = _resolved(text)
    roots = [root.resolve() for root in settings.roots]
    if folder is None or not any(folder.is_relative_to(root) for root in roots):
        raise Forbidden(
            f"{field} is not an absolute path under an allowed root: ask the operator to allow its"
            " folder (SAFELORA_ALIGNMENTS__ROOTS)",
            code="source_not_allowed",
            field=field,
        )
    return folder


def _not_allowed(field: str, kind: str, setting: str) -> Forbidden:
    return Forbidden(
        f"{field} is no {kind} that checkpoints may be read from: ask the operator to allow it"
        f" (SAFELORA_ALIGNMENTS__{setting}), or give a folder of the gate's machine",
        code="source_not_allowed",
        field=field,
    )


def _resolved(text: str) -> Path | None:
    path = Path(text)
    if "\0" in text or not path.is_absolute():
        return None
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a name too long, links in a circle
        return None
