"""Where checkpoints may be read from, and how alignments are cached."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.hub_places import ALLOWED as HUB_ALLOWED
from core.settings.forms import BearerToken, PlainUrl, RedisUrl, S3Folder, Section
from core.store.settings import S3Access

HubAllowed = Annotated[
    str, Field(pattern=HUB_ALLOWED, json_schema_extra={"format": "`org/name` or `org/`"})
]


class AlignmentSettings(Section):
    """Where checkpoints may be read from ([alignments.md](alignments.md)), and the tiers that hold
    modules of alignments ready ([method.md](method.md#an-alignment-as-stored)).

    Of the three lists of places an empty one means that there are none of the kind.
    """

    roots: list[Path] = Field(default=[], examples=[["/models"]])
    """Folders that checkpoints may be registered from."""
    s3_allow: list[S3Folder] = Field(default=[], examples=[["s3://models/llama/"]])
    """Folders on S3 that they may be read from."""
    s3: S3Access | None = None
    """How those are reached; without any as the gate's own store is, or as on AWS where that is
    local."""
    hub_allow: list[HubAllowed] = Field(default=[], examples=[["meta-llama/"]])
    """Models of a hub that they may be read from; `org/` is all of an organisation. A bare commit
    may also be one of a pull request, which only the scope of the operator's keys guards."""
    hub_token: BearerToken | None = None
    """Sent to the hub, and to no host that it sends us on to; without it huggingface_hub looks
    where it always does (HF_TOKEN, its own folder)."""
    hub_endpoint: PlainUrl | None = None
    """The hub; without it huggingface_hub's own default."""
    cache: Path = Path("var/alignments")
    """The folder of the disk tier, on one machine."""
    ram_bytes: Annotated[int, Field(ge=0)] = 8 * 2**30
    """Bytes of loaded modules in each worker: on its GPU, or in memory where there is none."""
    disk_bytes: Annotated[int, Field(ge=0)] = 64 * 2**30
    """Bytes of files in `cache`."""
    redis_url: RedisUrl | None = None
    """A Redis as a tier between disk and store; without it there is none. It is a cache and forgets
    as it likes (`maxmemory-policy allkeys-lru`): never the Redis of the queue."""
