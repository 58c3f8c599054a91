"""What else is sent as an adapter's weights, told by its first bytes; nothing of it is opened."""

from typing import Final

_PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
_ZIP_HEADER_BYTES = 30
_ZIP_NAME_LIMIT = 2**16

LOOKED_AT: Final = _ZIP_HEADER_BYTES + _ZIP_NAME_LIMIT
"""Bytes from the start of a file that `foreign_format` looks at, at most."""


def foreign_format(start: bytes) -> str | None:
    """The finding code of a file that begins with `start` and is no safetensors file."""
    if start.startswith(b"GGUF"):
        return "gguf_file"
    if start.startswith(b"PK\x03\x04"):
        return "npz_file" if _first_member(start).endswith(b".npy") else "pickle_file"
    # A safetensors header of 640 bytes begins like a pickle too, but its ninth byte is a brace.
    if start[:1] == b"\x80" and start[1:2] in _PICKLE_PROTOCOLS and start[8:9] != b"{":
        return "pickle_file"
    return None


def told_from(start: bytes) -> int:
    """Of how many bytes the start must be for `foreign_format` to say the last word; `start` has
    9 at least."""
    if not start.startswith(b"PK\x03\x04"):
        return 9
    if len(start) < _ZIP_HEADER_BYTES:
        return _ZIP_HEADER_BYTES
    return _ZIP_HEADER_BYTES + _name_length(start)


def _first_member(start: bytes) -> bytes:
    """The name of a zip's first file, from its local header; the archive is never opened."""
    return start[_ZIP_HEADER_BYTES : _ZIP_HEADER_BYTES + _name_length(start)]


def _name_length(start: bytes) -> int:
    return int.from_bytes(start[26:28], "little")
