"""The catalog: events, versions, schemas, who publishes and who reacts, and what happens after a failure."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from ..views.catalog import catalog_of
from ..web.dependencies import ReaderPage
from ..web.errors import PageError, not_found
from .state import PageState, page_state

router = APIRouter(include_in_schema=False)

StateDep = Annotated[PageState, Depends(page_state)]
SCHEMA_SECONDS = 60.0


@router.get("/catalog")
async def show_catalog(page: ReaderPage, state: StateDep) -> Response:
    """Every event of every service that answered."""
    flow, failed = await state.catalog.read(page.system)
    return page.render("catalog.html", section="catalog", topics=catalog_of(flow), failed=failed)


@router.get("/catalog/{type}/{version}")
async def show_schema(
    type: Annotated[str, Path(pattern=r"^[a-z0-9._-]{1,100}$")],
    version: Annotated[int, Path(ge=1, le=9999)],
    page: ReaderPage,
    state: StateDep,
) -> Response:
    """The JSON Schema of an event, from the service that publishes it."""
    flow, _ = await state.catalog.read(page.system)
    event = next((each for each in flow.events if (each.type, each.version) == (type, version)), None)
    publisher = page.system.processes.find(event.owner) if event else None
    if event is None or publisher is None:
        raise not_found()
    reply = await page.system.get(publisher, f"/schemas/{type}/{version}", fresh_seconds=SCHEMA_SECONDS)
    if reply.is_missing:
        raise not_found()
    if not reply.ok:
        raise PageError("service_away", 503)
    text = json.dumps(reply.body, indent=2, ensure_ascii=False)
    return page.render("schema.html", section="catalog", event=event, publisher=publisher, schema=text)
