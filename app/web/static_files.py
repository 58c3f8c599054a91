"""Scripts, style and icon of the page, each at an address of its own: no path of a client's leads
to a file."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from core.render.html import REPORT_CSS, REPORT_JS

_FOLDER: Final = "/static/"
_OF_THE_REPORT: Final = {"report.css": REPORT_CSS, "report_sort.js": REPORT_JS}
_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_NAMES: Final = (
    "adapter_files.js",
    "alignments.js",
    "api.js",
    "home.js",
    "icon.svg",
    "job.js",
    "page.css",
    "policy_choice.js",
    "refresh.js",
    "upload.js",
    "what_if.js",
    *_OF_THE_REPORT,
)
router = APIRouter(include_in_schema=False)


async def _file(request: Request) -> Response:
    return _sent(request, request.url.path.removeprefix(_FOLDER))


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    """Where browsers look, if a page names none."""
    return _sent(request, "icon.svg")


def _sent(request: Request, name: str) -> Response:
    """Asked for again each time, and sent again once it has changed."""
    content, etag = _content(name)
    headers = {"ETag": etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES["." + name.rpartition(".")[2]])


@cache
def _content(name: str) -> tuple[bytes, str]:
    if name in _OF_THE_REPORT:
        content = _OF_THE_REPORT[name].encode()
    else:
        content = files("app.web").joinpath("static", name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


for _name in _NAMES:
    router.add_api_route(_FOLDER + _name, _file, methods=["GET"])
