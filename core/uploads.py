"""An upload: files that are sent ahead of the job that is made of them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import Field

from core.archives import SUFFIXES
from core.canonical import Json, pretty_json
from core.jobs import JOB_ID_PATTERN, TENANT_PATTERN, created_ms
from core.model import Frozen
from core.store.layout import INPUT_FILES

SCHEME: Final = "upload:"
"""What a job's `source` begins with that is such an upload; its id follows."""

_ARCHIVES = "|".join(re.escape(suffix) for suffix in SUFFIXES)
_FILES = "|".join(re.escape(name) for name in INPUT_FILES)
UPLOAD_NAME_PATTERN: Final = f"^({_FILES}|archive({_ARCHIVES}))$"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"


class UploadFile(Frozen):
    """One file as it was announced: `size` in bytes, `sha256` where the uploader knows it.

    `parts_id`: the store's multipart upload that it comes in, in parts of `part_size` bytes.
    """

    name: Annotated[str, Field(pattern=UPLOAD_NAME_PATTERN)]
    size: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=SHA256_PATTERN)] | None = None
    parts_id: str | None = None
    part_size: int | None = None

    @property
    def is_archive(self) -> bool:
        return self.name not in INPUT_FILES

    def part_sizes(self) -> dict[int, int]:
        """Of the parts by number, all but the last as large as the first."""
        whole = self.part_size or self.size
        starts = range(0, self.size, whole)
        return {n: min(whole, self.size - start) for n, start in enumerate(starts, start=1)}


class UploadRecord(Frozen):
    """What was announced: put once, never changed. Its id is made as a job's is."""

    id: Annotated[str, Field(pattern=JOB_ID_PATTERN)]
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    created_at: str
    files: list[UploadFile]

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)

    def file(self, name: str) -> UploadFile | None:
        return next((file for file in self.files if file.name == name), None)


def is_over(upload_id: str, hours: float, now: datetime) -> bool:
    """Whether an upload that lasts so long is past its end; True also of what is no id."""
    try:
        made = created_ms(upload_id)
    except ValueError:
        return True
    return made + hours * 3_600_000 <= now.timestamp() * 1000


def upload_ends(upload_id: str, hours: float) -> datetime:
    """When an upload that lasts so long is taken for given up."""
    return datetime.fromtimestamp(created_ms(upload_id) / 1000, UTC) + timedelta(hours=hours)
