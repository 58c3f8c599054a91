"""The page is tested against the same gates as the API."""

from tests.app.conftest import gate, open_gate

__all__ = ["gate", "open_gate"]
