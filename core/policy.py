"""What a job does to an adapter: method, selection, extras, caps. The same JSON everywhere."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from core.canonical import Json, parse_json_strictly
from core.errors import Unprocessable
from core.families import family_value
from core.findings import RULES, STRIPPABLE
from core.model import Frozen

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
MethodName = Literal["safe_lora", "subspace", "complement", "zero"]
Side = Literal["input", "output", "both"]
FamilySuffix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]


class Threshold(Frozen):
    """Modules whose cosine is below τ; `families` maps a name suffix to a τ of its own."""

    mode: Literal["threshold"] = "threshold"
    threshold: Unit = 0.35
    families: dict[FamilySuffix, Unit] = {}


class Relative(Frozen):
    """Modules whose cosine is below `ratio` times what a random update would score."""

    mode: Literal["relative"]
    ratio: Annotated[float, Field(ge=0.0, le=100.0)]
    families: dict[FamilySuffix, Annotated[float, Field(ge=0.0, le=100.0)]] = {}


class Lowest(Frozen):
    """The `count` lowest cosines, or a `share` of all modules; ties go by module name."""

    mode: Literal["lowest"]
    count: Annotated[int, Field(ge=0)] | None = None
    share: Unit | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Lowest":
        if (self.count is None) == (self.share is None):
            raise ValueError("give either count or share")
        return self


class All(Frozen):
    """Every module."""

    mode: Literal["all"]


class ScoreOnly(Frozen):
    """No module: the adapter is scored, and none is published."""

    mode: Literal["none"]


Selection = Annotated[Threshold | Relative | Lowest | All | ScoreOnly, Field(discriminator="mode")]


class Directions(Frozen):
    """How many of V's top singular directions: `rank`, or the fewest that hold `energy_share` of
    ‖V‖_F²."""

    rank: Annotated[int, Field(ge=1)] | None = None
    energy_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Directions":
        if (self.rank is None) == (self.energy_share is None):
            raise ValueError("give either rank or energy_share")
        return self


Handling = Literal["refuse", "strip"]


class Extras(Frozen):
    """What to do with tensors, fields and files that are no LoRA pair, by finding code.

    `strip` leaves them out and says so; what cannot be left out is refused whatever this says.
    """

    default: Handling = "refuse"
    codes: dict[str, Handling] = {}

    @field_validator("codes")
    @classmethod
    def _known(cls, codes: dict[str, Handling]) -> dict[str, Handling]:
        for code, handling in codes.items():
            if code not in RULES or RULES[code].severity != "refuse":
                raise ValueError(f"no finding that refuses has the code {code!r:.60}")
            if handling == "strip" and code not in STRIPPABLE:
                raise ValueError(
                    f"{code} cannot be stripped; these can: {', '.join(sorted(STRIPPABLE))}"
                )
        return codes

    def handling(self, code: str) -> Handling:
        return self.codes.get(code, self.default) if code in STRIPPABLE else "refuse"


class Caps(Frozen):
    """Upper bounds; what exceeds one is refused. `elements` counts all tensors, `bytes`
    the whole file of weights."""

    rank: Annotated[int, Field(ge=1)] = 512
    tensors: Annotated[int, Field(ge=1)] = 20_000
    elements: Annotated[int, Field(ge=1)] = 2**32
    bytes: Annotated[int, Field(ge=1)] = 8 * 2**30
    update_ratio: Annotated[float, Field(gt=0.0)] = 1.0


Suspicion = Literal["report", "project", "refuse"]
Scoring = Literal["all", "spectrum"]


class Policy(Frozen):
    """All fields optional; the defaults are Safe LoRA as published (arXiv 2405.16833, section 3).

    `rank` or `energy_share` go with the methods `subspace` and `complement`, and so do `families`,
    which map a name's suffix to a `rank` or `energy_share` of its own; `side` goes with
    `complement`. `strength` λ blends: `(1-λ)·update + λ·projected`; above 1, for `complement`
    alone, what is taken out is turned round: at 2 it is mirrored. `suspicious`: what a sign of an
    attack on the method leads to (docs/suspicious.md); `project` chooses the module whatever its
    cosine. `scores`: with `spectrum` V itself is never loaded, only its stored singular directions
    and norms; `cosine`, `signed` and `undo` are then null (docs/methods.md).
    """

    method: MethodName = "safe_lora"
    strength: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    rank: Annotated[int, Field(ge=1)] | None = None
    energy_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    families: dict[FamilySuffix, Directions] = {}
    side: Side | None = None
    selection: Selection = Threshold()
    reference: bool = False
    scores: Scoring = "all"
    extras: Extras = Extras()
    suspicious: Suspicion = "report"
    caps: Caps = Caps()

    @model_validator(mode="before")
    @classmethod
    def _fill_mode(cls, data: object) -> object:
        return with_mode(data)

    @model_validator(mode="after")
    def _parameters_fit_method(self) -> "Policy":
        of_subspace = self.method in ("subspace", "complement")
        if of_subspace and (self.rank is None) == (self.energy_share is None):
            raise ValueError(f"method {self.method} needs either rank or energy_share")
        if not of_subspace and (self.rank is not None or self.energy_share is not None):
            raise ValueError(f"method {self.method} takes neither rank nor energy_share")
        if not of_subspace and self.families:
            raise ValueError(f"method {self.method} takes no families: those are the selection's")
        if self.method != "complement" and self.strength > 1.0:
            raise ValueError(f"method {self.method} takes a strength of 1 at most")
        if self.method == "complement" and self.side is None:
            raise ValueError('method complement needs side: "input", "output" or "both"')
        if self.method != "complement" and self.side is not None:
            raise ValueError(f"method {self.method} takes no side")
        return self

    @model_validator(mode="after")
    def _scores_fit(self) -> "Policy":
        """Without V there is no cosine to choose by, and nothing to project onto but its top."""
        if self.scores == "all":
            return self
        if self.method == "safe_lora":
            raise ValueError(
                'method safe_lora needs V: with scores "spectrum", name the method complement,'
                ' subspace or zero, or leave scores at "all"'
            )
        if self.selection.mode not in ("all", "none"):
            raise ValueError(
                f"selection {self.selection.mode} needs the cosine, and with it V: with scores"
                ' "spectrum", take the selection all or none, or leave scores at "all"'
            )
        if self.reference:
            raise ValueError(
                'reference compares cosines, which scores "spectrum" leaves out: leave out one'
            )
        return self

    @property
    def publishes(self) -> bool:
        """False for a policy that only scores."""
        return not isinstance(self.selection, ScoreOnly)

    def directions(self, module: str) -> Directions | None:
        """How many directions of this module's V the method uses; None if it uses none."""
        if self.rank is None and self.energy_share is None:
            return None
        own = Directions(rank=self.rank, energy_share=self.energy_share)
        return family_value(module, own, self.families)

    @property
    def loads_v(self) -> bool:
        """False where V's stored singular directions and norms are all that is used of it."""
        return self.scores == "all"

    def as_json(self) -> dict[str, Json]:
        """Every field spelled out, so that equal policies have equal digests."""
        return self.model_dump(mode="json", exclude_none=True)


def with_mode(data: object) -> object:
    """`{"selection": {"threshold": 0.5}}` means the default mode."""
    if isinstance(data, dict) and isinstance(selection := data.get("selection"), dict):
        return {**data, "selection": {"mode": "threshold", **selection}}
    return data


def parse_policy(value: bytes | Json, *, default: Policy | None = None) -> Policy:
    """A policy from JSON text or a parsed object; fields not given have the built-in default.

    Raises `Unprocessable` (`policy_invalid`) naming each field and what is wrong with it.
    """
    if value is None:
        return default or Policy()
    if isinstance(value, bytes):
        try:
            value = parse_json_strictly(value)
        except ValueError as error:
            raise Unprocessable(
                f"the policy is not JSON: {error}", code="policy_invalid", field="policy"
            ) from error
    try:
        return Policy.model_validate(value)
    except ValidationError as error:
        problems = describe_validation(error, root="policy")
        raise Unprocessable(
            "the policy is invalid: " + "; ".join(f"{p['field']}: {p['why']}" for p in problems),
            code="policy_invalid",
            problems=problems,
        ) from error


def describe_validation(error: ValidationError, *, root: str) -> list[dict[str, str]]:
    """Each problem as `{field, why}`, without echoing the input."""
    modes = {"threshold", "relative", "lowest", "all", "none"}
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = [str(part) for part in item["loc"]]
        if len(path) > 1 and path[0] == "selection" and path[1] in modes:
            del path[1]  # the union's tag is no field of the JSON
        why = item["msg"].removeprefix("Value error, ")
        problems.append({"field": ".".join([root, *path]), "why": why})
    return problems
