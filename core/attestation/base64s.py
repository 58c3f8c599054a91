"""Base64 with one spelling for one value: two readers never see two byte strings in one text."""

import base64
import binascii


def encode(data: bytes) -> str:
    """The standard alphabet, padded."""
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Either alphabet, padded. Raises `ValueError` for any other spelling of the same bytes."""
    standard = base64.b64encode
    for spelled in (standard, base64.urlsafe_b64encode):
        altchars = b"+/" if spelled is standard else b"-_"
        try:
            data = base64.b64decode(text, altchars=altchars, validate=True)
        except (binascii.Error, ValueError):
            continue
        if spelled(data).decode() == text:
            return data
    raise ValueError("it is not base64 in its one canonical spelling")


def encode_url(data: bytes) -> str:
    """The URL-safe alphabet, unpadded, as JSON Web Keys have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_url(text: str) -> bytes:
    """As `encode_url` spells it. Raises `ValueError`."""
    data = decode(text + "=" * (-len(text) % 4))
    if encode_url(data) != text:
        raise ValueError("it is not unpadded URL-safe base64")
    return data
