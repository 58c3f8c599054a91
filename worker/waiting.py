"""How a worker's threads wait for each other."""

import os


def wait_asleep() -> None:
    """Have them sleep. Unless told otherwise they spin, which takes the cores from the API and from
    other workers, and costs a small job up to five times its own time. To be called before torch
    is imported; the environment has the last word."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
