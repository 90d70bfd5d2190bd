"""The overview: the live flow, and what needs a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ..views.attention import attention
from ..views.flow_drawing import draw
from ..views.flow_state import FlowStates
from ..views.observation import observe
from ..views.totals import chart, totals
from ..web.dependencies import ReaderPage
from .state import PageState, links_of, page_state

router = APIRouter(include_in_schema=False)

StateDep = Annotated[PageState, Depends(page_state)]


@router.get("/")
async def show_overview(page: ReaderPage, state: StateDep) -> Response:
    """Everything that flows, and everything that is stuck, from one read of each service and relay."""
    system = page.system
    seen = await observe(system, state.sampler.is_starting)
    flow, _ = await state.catalog.read(system)
    links = links_of(page)
    items = attention(seen, links)
    return page.render(
        "overview.html",
        section="overview",
        seen=seen,
        items=[item for item in items if not item.is_passing],
        passing=[item for item in items if item.is_passing],
        links=links,
        drawing=draw(flow, FlowStates(seen, state.sampler, links)),
        totals=totals(seen, state.sampler),
        chart=chart([state.sampler.samples(process.name) for process in system.processes]),
    )
