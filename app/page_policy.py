"""The Content-Security-Policy of a page that holds its own style and script."""

import base64
import hashlib
import re
from typing import Final

_BLOCK: Final = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


def page_policy(page: bytes) -> str:
    """Lets through the blocks that stand in the page, by their SHA-256, and nothing else.

    What an upload says stands in a report as text, so that no block is its own.
    """
    allowed: dict[str, list[str]] = {}
    for kind, block in _BLOCK.findall(page):
        digest = base64.b64encode(hashlib.sha256(block).digest()).decode()
        allowed.setdefault(f"{kind.decode()}-src", []).append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            *(f"{directive} {' '.join(hashes)}" for directive, hashes in allowed.items()),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        ]
    )
