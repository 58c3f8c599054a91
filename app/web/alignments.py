"""The alignments that adapters are held against."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.access.callers import Caller
from app.api.alignments import AlignmentView, alignment_view
from app.services import Served, Services
from app.web.pages import page
from app.web.routing import SignedIn, page_router
from core.alignments import AlignmentRecord, Manifest
from core.errors import RecordUnreadable
from core.store.base import ObjectMissing

_BYTES = {"F32": 4, "F16": 2, "BF16": 2}

router = page_router()


@dataclass(frozen=True)
class Stored:
    """What lies in the store of a ready alignment: `size` in bytes, of V and its directions."""

    model_type: str
    modules: int
    size: int
    storage_loss: float


@dataclass(frozen=True)
class Shown:
    view: AlignmentView
    stored: Stored | None


@router.get("/alignments")
def alignments(request: Request, services: Served, caller: SignedIn) -> Response:
    records = services.records.alignments()
    shown = [_shown(services, record, caller) for record in records]
    return page(request, "alignments.html", alignments=shown)


def _shown(services: Services, record: AlignmentRecord, caller: Caller) -> Shown:
    return Shown(alignment_view(services, record, caller), _stored(services, record))


def _stored(services: Services, record: AlignmentRecord) -> Stored | None:
    """None while it is being built, and where its manifest is gone or of another version."""
    if record.state != "ready" or record.id is None:
        return None
    try:
        manifest = services.manifests.get(record.id)
    except (ObjectMissing, RecordUnreadable):
        return None
    return Stored(
        model_type=manifest.model_type,
        modules=len(manifest.modules),
        size=_size(manifest),
        storage_loss=manifest.storage_loss,
    )


def _size(manifest: Manifest) -> int:
    """V as it is stored, and its singular vectors in float32."""
    return sum(
        m.out_features * m.in_features * _BYTES[m.dtype]
        + len(m.sigma) * (m.out_features + m.in_features) * 4
        for m in manifest.modules
    )
