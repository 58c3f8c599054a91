"""What the system keeps of files in memory while a build passes through them.

A build reads and writes more than a machine has memory. Pages that it is done with are let go at
once: otherwise they would push out what jobs need, and finding room for the next ones costs more
than reading them.
"""

import os


def read_on(descriptor: int, start: int, length: int) -> None:
    """Have the disk fetch these bytes while we compute. `length` 0: to the end."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_WILLNEED)


def let_go(descriptor: int, start: int = 0, length: int = 0) -> None:
    """Forget these bytes, as far as they are on the disk. `length` 0: to the end."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)
