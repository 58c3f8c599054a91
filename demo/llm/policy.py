"""The policy that the operator registers the pair with: the only place that names one."""

import json
from typing import Final

from core.alignments import DEFAULT_RANK
from core.policy import Policy

POLICY: Final = Policy.model_validate(
    {
        "method": "complement",
        "side": "input",
        "rank": 32,
        "families": {name: {"rank": 1} for name in ("q_proj", "k_proj", "v_proj")},
        "strength": 1.3,
        "selection": {"mode": "all"},
        "scores": "spectrum",
    }
)
EVERY_DIRECTION: Final = 4096  # more than any module here has


def stored_rank(policy: Policy) -> int:
    """How many singular directions the alignment must hold for the policy to be served."""
    asked = [d for suffix in ("", *policy.families) if (d := policy.directions(suffix)) is not None]
    if any(directions.energy_share is not None for directions in asked):
        return EVERY_DIRECTION
    return max(DEFAULT_RANK, *(directions.rank or 0 for directions in asked), 0)


def policy_json(policy: Policy) -> str:
    """As one would write it: what is the default is left out."""
    return json.dumps(policy.model_dump(mode="json", exclude_defaults=True))
