"""Where a key is typed in."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.web.pages import HEADERS, sign_in_page
from app.web.routing import page_router

router = page_router()


@router.get("/sign-in")
async def sign_in(request: Request) -> Response:
    if request.state.caller is not None:
        return RedirectResponse("/", 303, headers=HEADERS)
    return sign_in_page(request, error=None, status=200)
