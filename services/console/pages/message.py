"""One dead letter or deferred message: what happened to it, and its payload for an operator who asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage, ReaderPage
from ..web.errors import not_found
from ..web.page import Page, query
from .failures import SECTION
from .message_filters import PATHS, service_of

router = APIRouter(include_in_schema=False)

EventId = Annotated[str, Query(min_length=1, max_length=200)]


@router.get("/dead-letters/{service}/message")
async def show_message(page: ReaderPage, service: str, id: EventId) -> Response:
    """What the service knows of a message, and what operators did with it. Two calls."""
    process = service_of(page, service)
    return await _render(page, process, id)


@router.get("/dead-letters/{service}/message/reveal")
async def confirm_payload(page: OperatorPage, service: str, id: EventId) -> Response:
    """Ask for the reason to look at the payload."""
    process, t = service_of(page, service), page.t
    address = _address(process, id)
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("dead_letters.reveal.title"),
            button=t("event.reveal.button"),
            action=address,
            back=address,
            facts=((t("dead_letters.service"), process.name), (t("dead_letters.event_id"), id)),
            warnings=(t("event.reveal.warning"),),
        )
    )


@router.post("/dead-letters/{service}/message")
async def show_payload(confirmed: ChangeDep, service: str, id: EventId) -> Response:
    """The same with the envelope, which may be personal data, once the service has stored who asked and why."""
    page = confirmed.page
    process = service_of(page, service)
    body = {"reason": confirmed.reason}
    for status, path in PATHS.items():
        message = f"{path}/{quote(id, safe='')}"
        reply = await page.system.change(process, f"{message}/reveals", body, key=f"{confirmed.form.key}-{status}")
        if reply.ok and reply.is_repeated:
            return page.not_shown_again(_address(process, id))
        if reply.ok:
            reply = await page.system.get(process, message, {"unmasked": "true"}, fresh_seconds=0)
            page.system.forget()
        if reply.ok:
            return await _render(page, process, id, payload=reply)
        if not reply.is_missing:
            break
    return page.after(reply, _address(process, id), "event.revealed")


def _address(process: ApiProcess, event_id: str) -> str:
    return query(f"/dead-letters/{process.name}/message", {"id": event_id})


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
