"""Dead letters and deferred messages: grouped by how they failed, and listed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..api_clients.replies import failed
from ..web.dependencies import ReaderPage
from .message_filters import FilterDep, Status, Text, service_of

router = APIRouter(include_in_schema=False)

SECTION = "dead_letters"
GROUPS_OF_EACH, GROUPS_OF_ONE = 15, 40
"""Groups on a page with all services, and on a page with one: a page stays small whatever has failed."""
MESSAGES = 50
REDRIVES = 5

Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


@router.get("/dead-letters")
async def show_failures(
    page: ReaderPage, status: Status = "dead", service: Text = "", cursor: Cursor = None
) -> Response:
    """Messages that failed alike, of each service or of one; the newest first. Two calls a service."""
    services = (service_of(page, service),) if service else page.system.processes.services
    limit = GROUPS_OF_ONE if service else GROUPS_OF_EACH
    asked = {"status": status, "limit": limit, "cursor": cursor}
    groups = await page.system.ask(services, "/v1/failures", asked)
    redrives = await page.system.ask(services, "/v1/redrives", {"limit": REDRIVES}) if status == "dead" else []
    return page.render(
        "failures.html",
        section=SECTION,
        kind=status,
        service=service,
        cursor=cursor,
        services=page.system.processes.services,
        groups=[reply for reply in groups if reply.ok],
        redrives=[(reply.process, item) for reply in redrives if reply.ok for item in reply.body["items"]],
        failed=failed([*groups, *redrives]),
    )


@router.get("/dead-letters/{service}/messages")
async def show_messages(page: ReaderPage, service: str, chosen: FilterDep, cursor: Cursor = None) -> Response:
    """The messages of one service that match, the newest first. One call, and one more for a group."""
    process = service_of(page, service)
    asked = {**chosen.parameters(), "limit": MESSAGES, "cursor": cursor}
    found = await page.system.get(process, chosen.path, asked)
    group = None
    if chosen.fingerprint and found.ok:
        alike = {"status": chosen.status, "fingerprint": chosen.fingerprint, "limit": 1}
        reply = await page.system.get(process, "/v1/failures", alike)
        group = next(iter(reply.body["items"]), None) if reply.ok else None
    return page.render(
        "messages.html",
        section=SECTION,
        process=process,
        chosen=chosen,
        cursor=cursor,
        group=group,
        reply=found,
        failed=failed([found]),
    )
