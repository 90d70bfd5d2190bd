"""One dead letter or deferred message: what happened to it, and its payload for an operator who asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..web.dependencies import ChangeDep, ReaderPage
from ..web.errors import PageError, not_found
from ..web.page import Page
from .failures import SECTION
from .message_filters import PATHS, service_of

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)

EventId = Annotated[str, Query(min_length=1, max_length=200)]


@router.get("/dead-letters/{service}/message")
async def show_message(page: ReaderPage, service: str, id: EventId) -> Response:
    """What the service knows of a message, and what operators did with it. Two calls."""
    process = service_of(page, service)
    return await _render(page, process, id)


@router.post("/dead-letters/{service}/message")
async def show_payload(confirmed: ChangeDep, service: str, id: EventId) -> Response:
    """The same with the envelope, which may be personal data: who asked for it is logged."""
    page = confirmed.page
    process = service_of(page, service)
    for status, path in PATHS.items():
        found = await page.system.get(process, f"{path}/{quote(id, safe='')}", fresh_seconds=0)
        if found.ok:
            log.warning(
                "payload shown",
                action="console.payload_shown",
                person=page.person,
                service=service,
                event_id=id,
                status=status,
            )
            return await _render(page, process, id, payload=found)
        if not found.is_missing:
            break
    if found.is_missing:
        raise not_found()
    raise PageError("service_away", 503)


async def _render(page: Page, process: ApiProcess, event_id: str, payload: ApiReply | None = None) -> Response:
    event = await page.system.get(process, f"/v1/events/{quote(event_id, safe='')}")
    if event.is_missing:
        raise not_found()
    processed: Mapping[str, Any] = event.body.get("processed") or {}
    return page.render(
        "message.html",
        section=SECTION,
        process=process,
        event_id=event_id,
        reply=event,
        message=processed,
        deferred=processed.get("deferred"),
        actions=processed.get("actions", []),
        recorded=event.body.get("recorded"),
        payload=_readable(payload.body["envelope"]) if payload else None,
        attributes=payload.body["attributes"] if payload else {},
        failed=failed([event]),
    )


def _readable(envelope: str) -> str:
    """The envelope with a line for each field; unchanged if it is no JSON."""
    try:
        return json.dumps(json.loads(envelope), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return envelope
