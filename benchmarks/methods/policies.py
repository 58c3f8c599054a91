"""Every method that is compared, by the words that a table has for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.policy import Policy

SUBSPACE_RANKS = (1, 8, 64)
COMPLEMENT_RANKS = (1, 2, 4, 8, 16, 64)
ALL_OF_V = "subspace, energy_share = 1"  # more directions than large modules have stored


@dataclass(frozen=True)
class Compared:
    """One method. `uses`: what it needs of an alignment, scores apart."""

    label: str
    uses: str
    policy: Policy

    @property
    def without_v(self) -> Policy | None:
        """The same with scores from the spectrum, None for a method that needs V."""
        if self.policy.method == "safe_lora":
            return None
        return self.policy.model_copy(update={"scores": "spectrum"})


def compared() -> Iterator[Compared]:
    yield _compared("safe_lora", "V", method="safe_lora")
    for k in SUBSPACE_RANKS:
        yield _compared(f"subspace, k = {k}", "U", method="subspace", rank=k)
    yield _compared(ALL_OF_V, "U", method="subspace", energy_share=1.0)
    for side, uses in (("input", "Z"), ("output", "U"), ("both", "U, Z")):
        for k in COMPLEMENT_RANKS:
            fields = {"method": "complement", "side": side, "rank": k}
            yield _compared(f"complement, {side}, k = {k}", uses, **fields)
    yield _compared("zero, strength 0.5", "-", method="zero", strength=0.5)


def _compared(label: str, uses: str, **fields: Any) -> Compared:
    selection: Mapping[str, Any] = {"mode": "all"}
    return Compared(label, uses, Policy.model_validate({**fields, "selection": selection}))
