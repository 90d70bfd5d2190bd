"""Finding events by order, event, correlation or trace id, by type, time and state; results come while one types."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from ..views.search import PERIODS, STATES, EventSearch, SearchCriteria
from ..web.dependencies import ReaderPage
from .state import PageState, page_state

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@router.get("/find")
async def find(
    page: ReaderPage,
    state: Annotated[PageState, Depends(page_state)],
    q: Text = "",
    type: Text = "",
    event_state: Annotated[str, Query(alias="state", max_length=20)] = "",
    period: Annotated[str, Query(max_length=4)] = "",
    go: bool = False,
) -> Response:
    """The newest events that match; with `go`, the journey of the only subject that does."""
    criteria = SearchCriteria(
        q.strip(),
        type.strip(),
        event_state if event_state in STATES else "",
        period if period in PERIODS else "",
    )
    result = await EventSearch(page.system, criteria).run()
    if go and result.kind in ("subject", "event") and result.subject:
        return page.redirect(f"/journey/{quote(result.subject, safe='')}")
    flow, _ = await state.catalog.read(page.system)
    types = sorted({event.type for event in flow.events})
    return page.render(
        "find.html",
        section="find",
        criteria=criteria,
        result=result,
        types=types,
        states=STATES,
        periods=tuple(PERIODS),
    )
