"""The value objects' common ground: frozen, strict, nothing unknown, no NaN."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that never changes. Unknown fields, NaN and implicit conversions are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )
