"""The overview: the state of every service and relay."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from ..web.dependencies import ReaderPage

router = APIRouter(include_in_schema=False)


@router.get("/")
async def show_overview(page: ReaderPage) -> Response:
    """Whether each service and relay is ready."""
    processes = page.system.processes
    replies = await page.system.ask(processes, "/readyz")
    return page.render("overview.html", section="overview", processes=replies)
