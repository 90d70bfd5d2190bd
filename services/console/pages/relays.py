"""Relays and consumers: instances, lanes, heartbeats, calls in flight, circuits and versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ..views.observation import observe
from ..views.process_cards import LANE, LANES_IN_ROW, cards
from ..web.dependencies import ReaderPage
from .state import PageState, page_state

router = APIRouter(include_in_schema=False)

FACTS_SECONDS = 15.0


@router.get("/relays")
async def show_relays(page: ReaderPage, state: Annotated[PageState, Depends(page_state)]) -> Response:
    """Every process in detail. A relay that was killed is shown so when its lease expires, or earlier."""
    system = page.system
    seen = await observe(system, state.sampler.is_starting)
    replies = await system.ask(system.processes, "/v1/process", fresh_seconds=FACTS_SECONDS)
    facts = {reply.process.name: reply.body for reply in replies}
    return page.render(
        "relays.html",
        section="relays",
        seen=seen,
        cards=cards(seen, facts, state.sampler),
        versions={str(each["version"]) for each in facts.values() if each.get("version")},
        lane=LANE,
        lanes_in_row=LANES_IN_ROW,
    )
