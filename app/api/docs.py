"""The API's description as a page. All of it comes from here: where people type their keys, no
script of another host runs, and no network is needed."""

import hashlib
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

SCRIPT: Final = "/docs/swagger-ui-bundle.js"
STYLE: Final = "/docs/swagger-ui.css"
ICON: Final = "/docs/favicon.png"

_FOLDER: Final = Path(str(files("fastapi_offline"))) / "static"
_DAY: Final = {"Cache-Control": "public, max-age=86400"}

router = APIRouter(include_in_schema=False)


def _page() -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Safe LoRA Gate",
        swagger_js_url=SCRIPT,
        swagger_css_url=STYLE,
        swagger_favicon_url=ICON,
    )
    inline = bytes(page.body).decode().rpartition("<script>")[2].partition("</script>")[0]
    digest = b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; connect-src 'self';"
        " style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
    return page


@router.get("/docs")
async def docs() -> HTMLResponse:
    return _page()


@router.get(SCRIPT)
async def script() -> FileResponse:
    return FileResponse(_FOLDER / "swagger-ui-bundle.js", headers=_DAY)


@router.get(STYLE)
async def style() -> FileResponse:
    return FileResponse(_FOLDER / "swagger-ui.css", headers=_DAY)


@router.get(ICON)
async def icon() -> FileResponse:
    return FileResponse(_FOLDER / "favicon.png", headers=_DAY)
