"""The manifest of a stored alignment, and the record that a name points to it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from core.canonical import Json, digest, pretty_json
from core.errors import Unprocessable
from core.model import Frozen
from core.policy import Policy

SCHEMA: Literal["safelora-gate/alignment/3"] = "safelora-gate/alignment/3"
MANIFEST_FILE = "alignment.json"
DEFAULT_RANK = 64
ENERGY_ROUNDING = 1e-6  # what Σσ² of float32 singular values may fall short of ‖V‖_F²

Dtype = Literal["F32", "F16", "BF16"]
DtypeRule = Literal["auto", "float32"]
MODEL_NAME_LIMIT = 500
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"


ShardName = Annotated[str, Field(pattern=r"^((blake3-)?[0-9a-f]{64}\.safetensors)?$")]


class ModuleEntry(Frozen):
    """One module of the pair: V = W_aligned - W_base, shape (out, in).

    `norm` ‖V‖_F, `aligned_norm` ‖W_aligned‖_F, `sigma` the top singular values of V in falling
    order, `baseline` with `baseline_error` (one standard error, 0 where exact), `spectrum_error`
    max ‖V·z_i - σ_i·u_i‖ / σ_1, `storage_loss` ‖V - V stored‖_F / ‖V‖_F. `conv1d`: the checkpoint
    holds it as (in, out). V lies in `shard`, U_k and Z_k in `spectrum_shard`: files named by their
    BLAKE3, in older alignments by their SHA-256. How they are written follows from dtype and shape,
    so V's name stands for V's bytes.
    """

    name: str
    out_features: int = Field(alias="out")
    in_features: int = Field(alias="in")
    dtype: Dtype
    norm: float
    aligned_norm: float
    sigma: list[float]
    baseline: float
    baseline_error: float
    spectrum_error: float
    storage_loss: float
    conv1d: bool
    shard: ShardName
    spectrum_shard: ShardName


class WeightDigest(Frozen):
    """One tensor of a checkpoint: dtype as safetensors spells it, and its bytes as stored there
    (row-major, little-endian) by their SHA-256."""

    dtype: str
    shape: list[int]
    sha256: str


class Manifest(Frozen):
    """`left_out` maps each other weight of two dimensions or more to the reason.

    `weights` has every tensor of the aligned checkpoint by its name there, whichever modules were
    asked for; a tied lm_head as `lm_head.weight`, with what the embedding has.
    """

    schema_: Annotated[Literal["safelora-gate/alignment/3"], Field(alias="schema")] = SCHEMA
    id: str
    model_type: str
    rank: int
    modules: list[ModuleEntry]
    left_out: dict[str, str]
    weights: dict[str, WeightDigest]

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json", by_alias=True)
        return pretty_json(dumped)

    @property
    def files(self) -> list[str]:
        """Every shard, each named by the digest of its bytes."""
        return sorted({f for m in self.modules for f in (m.shard, m.spectrum_shard)})

    @property
    def storage_loss(self) -> float:
        return max((module.storage_loss for module in self.modules), default=0.0)

    def check_fits(self, policy: Policy) -> None:
        """Raises `Unprocessable` if this alignment cannot serve the policy, saying what can.

        `alignment_rank_too_small`: the method uses more singular directions than are stored.
        `alignment_not_float32`: `reference` compares with the authors' code, which has float32 V.
        """
        for module in self.modules:
            needed_rank(module, policy)
        if policy.reference and self.storage_loss > 0.0:
            raise Unprocessable(
                "a reference run needs V in float32 and this alignment holds 16 bits: register the"
                ' pair under another name with "dtype": "float32"',
                code="alignment_not_float32",
            )


def alignment_id(modules: list[ModuleEntry], rank: int, weights: Mapping[str, WeightDigest]) -> str:
    """The identity of an alignment: schema, names, shapes, k, dtypes and the bytes of each V, and
    names, dtypes, shapes and bytes of the aligned model's tensors.

    Nothing that depends on threads or BLAS, nor on how the checkpoint is cut into files: a rebuild
    gives the same id on any machine (by the versions that name files alike).
    """
    rows: list[Json] = [
        [m.name, m.out_features, m.in_features, m.dtype, m.shard]
        for m in sorted(modules, key=lambda m: m.name)
    ]
    weight_rows: list[Json] = [
        [name, weight.dtype, weight.shape, weight.sha256]
        for name, weight in sorted(weights.items())
    ]
    return digest([SCHEMA, rank, rows, weight_rows])[:40]


def needed_rank(module: ModuleEntry, policy: Policy) -> int:
    """How many singular directions of this module's V the policy's method uses.

    Raises `Unprocessable` (`alignment_rank_too_small`) where more are needed than are stored.
    """
    full = min(module.out_features, module.in_features)
    stored = len(module.sigma)
    directions = policy.directions(module.name)
    if directions is None:
        return 0
    if directions.rank is not None:
        needed = min(directions.rank, full)
    else:
        needed = _rank_of_energy(module, directions.energy_share or 0.0, full)
    if needed > stored:
        raise Unprocessable(
            f"method {policy.method} needs {needed} singular directions of {module.name}"
            f" and the alignment holds {stored}: ask for a smaller rank or energy_share, or"
            " register the alignment with a larger one",
            code="alignment_rank_too_small",
            module=module.name,
            stored=stored,
        )
    return needed


def _rank_of_energy(module: ModuleEntry, share: float, full: int) -> int:
    """The smallest k with Σ_{i≤k} σ_i² ≥ share·‖V‖_F²; one more than stored if none is."""
    wanted = share * module.norm**2 * (1.0 - ENERGY_ROUNDING)
    total = 0.0
    for index, value in enumerate(module.sigma):
        if total >= wanted:
            return index
        total += value**2
    stored = len(module.sigma)
    return stored if total >= wanted or stored == full else stored + 1


def is_model_name(text: str) -> bool:
    """Short and printable: the name goes into configs, reports and terminals."""
    return text.isprintable() and 0 < len(text) <= MODEL_NAME_LIMIT


def _checked_model_name(text: str) -> str:
    if not is_model_name(text):
        raise ValueError(f"a model's name has 1 to {MODEL_NAME_LIMIT} printable characters")
    return text


ModelName = Annotated[
    str,
    AfterValidator(_checked_model_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MODEL_NAME_LIMIT}),
]


class BuildFailure(Frozen):
    code: str
    message: str


class PairWarning(Frozen):
    """A sign that a pair is not the one that the operator meant; the alignment is built anyway.

    `message` names modules and numbers, and no path: every key may read it.
    """

    code: Literal["pair_far_apart", "modules_identical", "pair_swapped"]
    message: str


class AlignmentPolicies(Frozen):
    """How adapters for an alignment are judged; without a `floor` the default policy is the floor.

    Kept together, so that whoever changes one has seen the other.
    """

    default_policy: Policy
    floor: Policy | None

    @property
    def effective_floor(self) -> Policy:
        return self.floor or self.default_policy

    def check_fit(self, manifest: Manifest) -> None:
        """Raises `Unprocessable` where the alignment cannot serve one of them."""
        for policy in (self.default_policy, self.effective_floor):
            manifest.check_fits(policy)

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)


class AlignmentRecord(Frozen):
    """What a name stands for. The id is pinned when a job is accepted; the record may change.

    `base_names`: the `base_model_name_or_path` values adapters for this model carry; the first
    is the one written into sanitized adapters. Without a `floor` the default policy is the floor.
    `warnings` are there once it is ready.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    state: Literal["building", "ready", "failed"]
    base: str
    aligned: str
    modules: list[str] | None = None
    base_names: list[ModelName] = []
    dtype: DtypeRule = "auto"
    rank: Annotated[int, Field(ge=1, le=4096)] = DEFAULT_RANK
    default_policy: Policy = Policy()
    floor: Policy | None = None
    id: str | None = None
    error: BuildFailure | None = None
    warnings: list[PairWarning] = []
    created_at: str
    finished_at: str | None = None

    @property
    def policies(self) -> AlignmentPolicies:
        return AlignmentPolicies(default_policy=self.default_policy, floor=self.floor)

    @property
    def effective_floor(self) -> Policy:
        return self.policies.effective_floor

    def under(self, policies: AlignmentPolicies) -> "AlignmentRecord":
        """The same alignment, judged by these."""
        return self.model_copy(update=dict(policies))

    def as_ready(
        self, manifest: Manifest, finished_at: str, warnings: Sequence[PairWarning] = ()
    ) -> "AlignmentRecord":
        self.policies.check_fit(manifest)
        return self.model_copy(
            update={
                "state": "ready",
                "id": manifest.id,
                "finished_at": finished_at,
                "error": None,
                "warnings": list(warnings),
            }
        )

    def as_failed(self, code: str, message: str, finished_at: str) -> "AlignmentRecord":
        error = BuildFailure(code=code, message=message)
        return self.model_copy(
            update={"state": "failed", "error": error, "finished_at": finished_at}
        )

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)
