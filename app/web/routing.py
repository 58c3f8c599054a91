"""Who may see a page, and what is shown instead: the way to sign in, or what went wrong."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.callers import Caller
from app.problems import fault, problem_of, validation_problem
from app.web.pages import HEADERS, problem_page
from core.errors import Forbidden, GateError
from core.scopes import JOBS


class _SignInFirst(Exception):
    """There is no session."""


class PageRoute(APIRoute):
    """Answers with a page, whatever happens."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_with_page(request: Request) -> Response:
            try:
                return await answer(request)
            except _SignInFirst:
                return _to_sign_in(request)
            except GateError as error:
                return problem_page(request, problem_of(error))
            except RequestValidationError as error:
                return problem_page(request, validation_problem(error))
            except StarletteHTTPException:
                raise
            except Exception as error:  # noqa: BLE001  (a fault of ours, which the log has)
                return problem_page(request, fault(error))

        return answer_with_page


def page_router() -> APIRouter:
    return APIRouter(route_class=PageRoute, include_in_schema=False)


async def signed_in(request: Request) -> Caller:
    """Whoever has no session is led to the sign-in page."""
    caller: Caller | None = request.state.caller
    if caller is None:
        raise _SignInFirst
    return caller


async def _with_jobs(caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    if JOBS not in caller.scopes:
        raise Forbidden(
            f"this key lacks the scope {JOBS}, so it sees no jobs: sign in with one that has it",
            code="scope_missing",
            scope=JOBS,
        )
    return caller


SignedIn = Annotated[Caller, Depends(signed_in)]
WithJobs = Annotated[Caller, Depends(_with_jobs)]


def _to_sign_in(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(path, safe='')}", 303, headers=HEADERS)
