"""What a caller may ask of a store: the same rules in front of every store."""

import re

from core.errors import StoreError

TEMPORARY = ".tmp"
"""The local store's folder for unfinished files: no key may name it, in any store."""

_MAX_KEY_BYTES = 1024  # S3's limit
_MAX_SEGMENT_BYTES = 255  # what common file systems allow for one name
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


class BadKey(StoreError):
    """A key, prefix or range that no store takes: a fault of ours, found before any I/O."""

    code = "bad_key"
    status = 500


def check_key(key: str) -> None:
    """Raise `BadKey` unless `key` is relative and safe as an object key and as a file's path."""
    if len(key.encode("utf-8", "replace")) > _MAX_KEY_BYTES:
        raise _bad_key(key, f"it is longer than {_MAX_KEY_BYTES} bytes")
    for segment in key.split("/"):
        fault = _segment_fault(segment)
        if fault is not None:
            raise _bad_key(key, fault)


def is_segment(name: str) -> bool:
    """Whether `name` can be one segment of a key."""
    return _segment_fault(name) is None


def check_listing(prefix: str, after: str) -> None:
    """Raise `BadKey` unless some key could begin with `prefix`; `after` need not be a key."""
    folder, _, partial = prefix.rpartition("/")
    if folder:
        check_key(folder)
    for text in (partial, after):
        if _FORBIDDEN.search(text):
            raise _bad_key(text, "it holds a control character, a backslash or half a character")


def check_range(start: int, length: int | None) -> None:
    """Raise `BadKey` (code `bad_range`) for a negative start or length."""
    if start < 0 or (length is not None and length < 0):
        message = f"start {start} and length {length} are no range: neither may be negative."
        raise BadKey(message, code="bad_range")


def _segment_fault(segment: str) -> str | None:
    if not segment:
        return "it has an empty segment"
    if segment in (".", "..", TEMPORARY):
        return f"a segment may not be {segment!r}"
    if _FORBIDDEN.search(segment):
        return "it holds a control character, a backslash or half a character"
    if len(segment.encode()) > _MAX_SEGMENT_BYTES:
        return f"a segment is longer than {_MAX_SEGMENT_BYTES} bytes"
    return None


def _bad_key(text: str, fault: str) -> BadKey:
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    return BadKey(f"{shown!r} cannot be a key: {fault}. Make keys with core.store.layout.")
