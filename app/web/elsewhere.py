"""Addresses below those of pages where there is none."""

from fastapi import Depends
from starlette.responses import Response

from app.web.routing import page_router, signed_in
from core.errors import NotFound

router = page_router()


@router.get("/jobs/{_:path}", dependencies=[Depends(signed_in)])
@router.get("/alignments/{_:path}", dependencies=[Depends(signed_in)])
def no_page() -> Response:
    """Raises `NotFound`."""
    raise NotFound("there is no page at this address: go back to the jobs")
