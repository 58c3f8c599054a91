"""Every address of the page."""

from fastapi import APIRouter

from app.web import alignments, compare, elsewhere, home, jobs, session, static_files

router = APIRouter(include_in_schema=False)
for _part in (home, jobs, compare, alignments, session, static_files, elsewhere):
    router.include_router(_part.router)
