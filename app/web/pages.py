"""One page of HTML: nothing on it is inline, and nothing comes from elsewhere."""

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.access.callers import Caller
from app.web.words import job_name, job_outcome, policy_words, size_words
from core.findings import printable

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_OF_A_PROBLEM: Final = {"content-type", "content-length"}
_LOOPBACK: Final = "loopback"  # who needs no key needs no session


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """A template of ours, filled in. What it is given is escaped."""
    caller: Caller | None = getattr(request.state, "caller", None)
    html = (
        _environment()
        .get_template(template)
        .render(
            caller=caller,
            signed_in=caller is not None and caller.key_id != _LOOPBACK,
            path=request.url.path,
            **values,
        )
    )
    return HTMLResponse(html, status_code=status, headers={**(headers or {}), **HEADERS})


def sign_in_page(
    request: Request, *, wanted: str, error: str | None = None, status: int = 200
) -> Response:
    """The form for a key; `error` says why the last one was not taken, `wanted` where it leads."""
    return page(request, "sign_in.html", status=status, error=error, next=wanted)


def problem_page(request: Request, problem: Response) -> Response:
    """A problem document as a page: its status and headers, what to do, the code, the reference."""
    document: dict[str, Any] = json.loads(bytes(problem.body))
    request.state.code = document["code"]
    kept = {name: text for name, text in problem.headers.items() if name not in _OF_A_PROBLEM}
    return page(
        request,
        "problem.html",
        status=problem.status_code,
        headers=kept,
        title=HTTPStatus(problem.status_code).phrase,
        problem=document,
        request_id=getattr(request.state, "request_id", None),
    )


@cache
def _environment() -> Environment:
    """Kept, since compiling its templates takes longer than filling them in."""
    environment = Environment(
        loader=PackageLoader("app.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": lambda text: f"{text[:10]} {text[11:19]}",
        "number": lambda value: "–" if value is None else f"{value:.4f}",
        "percent": lambda value: "–" if value is None else f"{value:.1%}",
        "printable": printable,
        "size": size_words,
        "policy_words": policy_words,
        "job_name": job_name,
        "job_outcome": job_outcome,
    }
    return environment
