"""A gate as the API's own tests have it, and a Redis as the worker's have."""

from tests.app.conftest import open_gate
from tests.worker.conftest import redis

__all__ = ["open_gate", "redis"]
