"""What is tried on every adapter: methods of the product with their knobs, and controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.efficacy.controls import Control, ControlName
from benchmarks.efficacy.spectra import RuleName
from core.policy import Policy

BEFORE: Final = "before"
STEERING: Final = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class Variant:
    """One setting of one method. `family` is a line in the plots, `knob` a point on it; no change
    at all is the adapter as it came."""

    family: str
    knob: str
    change: Policy | Control | None

    @property
    def by_product(self) -> bool:
        """False for what only this study can do."""
        return not isinstance(self.change, Control)


def unchanged() -> Variant:
    return Variant(BEFORE, "", None)


def variants(*, quick: bool) -> list[Variant]:
    """All there is to compare, or the few that show the shape of it."""
    made = [unchanged(), *_published(quick), *_complements(quick)]
    return made if quick else [*made, *_rules(), *_others()]


def _published(quick: bool) -> list[Variant]:
    shares = (0.11, 0.35, 0.5) if quick else (0.11, 0.35, 0.5, 0.6, 0.75, 0.9, 1.0)
    scales = (0.25, 0.35, 0.5) if quick else (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
    return [*map(safe_lora, shares), *map(scaling, scales)]


def _complements(quick: bool) -> list[Variant]:
    kinds = ((2, 64), (3, 128), (4, 128), (4, 192), (8, 192))
    turned = (
        (2, 64, 1.2), (1, 32, 1.3), (1, 64, 1.3), (1, 32, 1.4), (1, 32, 1.5), (2, 32, 1.2),
        (2, 64, 1.1), (2, 64, 1.3), (3, 64, 1.1),
    )  # fmt: skip
    if quick:
        return [by_kind(*kinds[2]), *(by_kind(*one) for one in turned[:2])]
    return [
        *(by_kind(k, n) for k, n in kinds),
        *(by_kind(k, n, turn) for k, n, turn in turned),
        *map(input_rank, (1, 2, 4, 8, 16)),
        *(by_energy("input", share) for share in (0.1, 0.3, 0.5, 0.7)),
    ]


def _rules() -> list[Variant]:
    knobs: dict[RuleName | ControlName, Sequence[float]] = {
        "largest": (0.1, 0.2),
        "pooled": (0.3, 0.7),
        "relative": (0.3,),
        "edge": (1.5,),
        "shared input": (0.2, 0.5),
    }
    return [control(name, x) for name, values in knobs.items() for x in values]


def _others() -> list[Variant]:
    return [
        PUBLISHED,
        every_direction(),
        *(by_energy("output", share) for share in (0.85, 0.9, 0.95)),
        *(by_energy("both", share) for share in (0.95, 0.99)),
        Variant("subspace", "0.9", _everywhere("subspace", energy_share=0.9)),
        *(zeroed_lowest(share) for share in (0.35, 0.5)),
        *(control("random modules", 0.5, draw) for draw in (0, 1)),
        control("highest cosines", 0.5),
        *(control("random directions", k) for k in (3, 128)),
        *(control("product threshold", x) for x in (0.04,)),
    ]


def safe_lora(share: float) -> Variant:
    """The published projection on a share of the modules, lowest cosine first."""
    policy = _policy(selection={"mode": "lowest", "share": share})
    return Variant("Safe LoRA", f"{share:g}", policy)


def scaling(factor: float) -> Variant:
    """The whole update times `factor`."""
    return Variant("scaling", f"{factor:g}", _everywhere("zero", strength=1.0 - factor))


def input_rank(k: int) -> Variant:
    return Variant("input, k", f"{k}", _everywhere("complement", side="input", rank=k))


def by_kind(k: int, others: int, turn: float = 1.0) -> Variant:
    """`k` input directions of q, k and v, `others` of all other modules; taken out `turn` times.

    q, k and v only steer: they read the answer's start in a few directions. An update of o or down
    writes into the model's stream whatever it reads, and its V is spread over many.
    """
    families = {name: {"rank": k} for name in STEERING}
    policy = _everywhere("complement", side="input", rank=others, families=families, strength=turn)
    if turn == 1.0:
        return Variant("input, by kind", f"{k}, {others}", policy)
    return Variant("input, turned", f"{k}, {others}, {turn:g}", policy)


def by_energy(side: str, share: float) -> Variant:
    policy = _everywhere("complement", side=side, energy_share=share)
    return Variant(f"{side}, energy", f"{share:g}", policy)


def control(name: RuleName | ControlName, x: float, draw: int = 0) -> Variant:
    suffix = f" #{draw}" if draw else ""
    return Variant(name, f"{x:g}{suffix}", Control(name, x, draw))


def zeroed_lowest(share: float) -> Variant:
    policy = _policy(method="zero", selection={"mode": "lowest", "share": share})
    return Variant("zero, lowest cosines", f"{share:g}", policy)


def every_direction() -> Variant:
    """The published projection in its exact form: onto all directions that V has."""
    return Variant("exact form", "", _everywhere("subspace", energy_share=1.0))


def _everywhere(method: str, **fields: Any) -> Policy:
    """On all modules, and from V's spectrum alone."""
    return _policy(method=method, selection={"mode": "all"}, scores="spectrum", **fields)


def _policy(**fields: Any) -> Policy:
    return Policy.model_validate(fields)


PUBLISHED: Final = Variant("Safe LoRA, τ", "0.35", Policy())
