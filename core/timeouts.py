"""How long a job may run before it is stopped."""

from core.settings import QueueSettings

_GIB = 2**30


def job_timeout(settings: QueueSettings, input_bytes: int) -> int:
    """Whole seconds for a job: a base, and in proportion more for each GiB (2**30 bytes) of input.

    An archive counts as it is packed: `input_bytes` is what was stored or pinned at acceptance.
    """
    return settings.job_timeout - (-settings.job_timeout_per_gib * input_bytes // _GIB)
