"""A safetensors file up to its tensors' bytes."""

from core.safetensors_header import LENGTH_BYTES, HeaderError, header_length, parse_header
from fuzz.guard import Target
from fuzz.targets import Place


def make(_: Place) -> Target:
    return _accepts


def _accepts(data: bytes) -> bool:
    try:
        body = LENGTH_BYTES + header_length(data[:LENGTH_BYTES])
        if len(data) < body:
            return False
        parse_header(data[LENGTH_BYTES:body], len(data) - body)
    except HeaderError:
        return False
    return True
