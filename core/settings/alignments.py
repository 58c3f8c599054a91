"""Where checkpoints may be read from, and how alignments are cached."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.hub_places import ALLOWED as HUB_ALLOWED
from core.settings.forms import BearerToken, PlainUrl, RedisUrl, Section
from core.store.settings import S3Access


class AlignmentSettings(Section):
    """`roots`: folders checkpoints may be registered from.

    `s3_allow`: `s3://bucket/prefix/` entries they may be read from, reached as `s3` says; without
    it as the gate's own store is, or as on AWS where that is local. `hub_allow`: models of a hub
    they may be read from, `org/name`, or `org/` for all of an organisation; a bare commit may also
    be one of a pull request, which only the scope of the operator's keys guards. Any of the three
    lists empty means off. `hub_token` is sent to the hub, and to no host that it sends us on to;
    without it huggingface_hub looks where it always does (HF_TOKEN, its own folder).
    `hub_endpoint`: the hub; None is huggingface_hub's own default.

    The tiers: `ram_bytes` of loaded modules a process, `disk_bytes` of files in the folder `cache`,
    and a Redis at `redis_url`, off unless it is set. That one is a cache and forgets as it likes
    (`maxmemory-policy allkeys-lru`): never the Redis of the queue.
    """

    roots: list[Path] = []
    s3_allow: list[str] = []
    s3: S3Access | None = None
    hub_allow: list[Annotated[str, Field(pattern=HUB_ALLOWED)]] = []
    hub_token: BearerToken | None = None
    hub_endpoint: PlainUrl | None = None
    cache: Path = Path("var/alignments")
    ram_bytes: int = 8 * 2**30
    disk_bytes: Annotated[int, Field(ge=0)] = 64 * 2**30
    redis_url: RedisUrl | None = None
