"""adapter_config.json in PEFT's form and in MLX's."""

from core.findings import Finding, refusals
from core.handling import under_policy
from core.policy import Policy
from fuzz.guard import Target
from fuzz.targets import Place
from worker.adapter.config import read_config


def make(_: Place) -> Target:
    strip = Policy.model_validate({"extras": {"default": "strip"}})
    return lambda data: _accepts(data, strip)


def _accepts(data: bytes, strip: Policy) -> bool:
    """Accepted if a policy that strips what it can would let it in."""
    config, found = read_config(data)
    refused = refusals(under_policy(found, strip))
    if config is None and not refused:
        raise AssertionError(f"no config, and nothing says why: {_codes(found)}")
    return not refused


def _codes(found: list[Finding]) -> list[str]:
    return [f.code for f in found]
