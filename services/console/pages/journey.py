"""The journey of one order, or of another subject: all its events over all services."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from ..views.event_links import event_links
from ..views.journey import BAR, journey
from ..web.dependencies import ReaderPage
from .state import PageState, links_of, page_state

router = APIRouter(include_in_schema=False)

SUBJECT = r"^[\x21-\x7e]{1,128}$"
SHOWN = 15
"""So many events are on a page, so that it stays small."""
Subject = Annotated[str, Path(pattern=SUBJECT)]


@router.get("/journey/{subject:path}")
async def show_journey(
    subject: Subject,
    page: ReaderPage,
    state: Annotated[PageState, Depends(page_state)],
    event: Annotated[str, Query(max_length=200)] = "",
    start: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """The events of a subject as timelines; `event` is shown open."""
    flow, _ = await state.catalog.read(page.system)
    found = await journey(page.system, subject, flow)
    links = links_of(page)
    if event and not start:
        places = (place for place, each in enumerate(found.events) if each.record.event_id == event)
        start = next(places, 0) // SHOWN * SHOWN
    events = found.events[start : start + SHOWN]
    return page.render(
        "journey.html",
        section="find",
        journey=found,
        event=event,
        start=start,
        shown=SHOWN,
        bar=BAR,
        event_links={each.record.event_id: event_links(each.record, subject, links) for each in events},
    )
