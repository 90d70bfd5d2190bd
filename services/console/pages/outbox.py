"""Outboxes: their lag, held groups and changes by operators."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import failed
from ..web.dependencies import ReaderPage
from ..web.errors import not_found
from ..web.page import Page, query

router = APIRouter(include_in_schema=False)

SECTION = "outbox"
HELD_GROUPS = 40
CHANGES = 10
EVENTS = 50

# What the relay accepts as a message group.
Subject = Annotated[str, Query(pattern=r"^[\x21-\x7e]{1,128}$")]
After = Annotated[str, Query(pattern=r"^[\x21-\x7e]{0,128}$")]


@router.get("/outbox")
async def show_outboxes(page: ReaderPage) -> Response:
    """The state of every outbox. One call a relay."""
    relays = page.system.processes.relays
    replies = await page.system.ask(relays, "/v1/outbox")
    return page.render("outboxes.html", section=SECTION, replies=replies, failed=failed(replies))


@router.get("/outbox/{relay}")
async def show_outbox(page: ReaderPage, relay: str, cursor: After = "") -> Response:
    """One outbox with its held groups and the last changes of operators. Three calls."""
    process = relay_of(page, relay)
    state, held, audit = await asyncio.gather(
        page.system.get(process, "/v1/outbox"),
        page.system.get(process, "/v1/outbox/held-groups", {"limit": HELD_GROUPS, "cursor": cursor or None}),
        page.system.get(process, "/v1/outbox/audit", {"limit": CHANGES}),
    )
    return page.render(
        "outbox.html",
        section=SECTION,
        process=process,
        state=state,
        held=held,
        audit=audit,
        cursor=cursor,
        failed=failed([state, held, audit]),
    )


@router.get("/outbox/{relay}/group")
async def show_group(page: ReaderPage, relay: str, subject: Subject) -> Response:
    """The unpublished events of a message group, and the changes that concern it. Two calls."""
    process = relay_of(page, relay)
    group, audit = await asyncio.gather(
        page.system.get(process, f"/v1/outbox/groups/{quote(subject, safe='/')}", {"limit": EVENTS}),
        page.system.get(process, "/v1/outbox/audit", {"subject": subject, "limit": CHANGES}),
    )
    if group.is_missing:
        raise not_found()
    return page.render(
        "group.html",
        section=SECTION,
        process=process,
        subject=subject,
        reply=group,
        audit=audit,
        failed=failed([group, audit]),
    )


def relay_of(page: Page, name: str) -> ApiProcess:
    """The relay of that name. Raises PageError if there is none."""
    found = page.system.processes.find(name)
    if found is None or not found.is_relay:
        raise not_found()
    return found


def outbox_address(process: ApiProcess) -> str:
    """The page of an outbox."""
    return f"/outbox/{process.name}"


def group_address(process: ApiProcess, subject: str) -> str:
    """The page of a message group."""
    return query(f"/outbox/{process.name}/group", {"subject": subject})
