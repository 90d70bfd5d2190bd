"""How far something is that a service carries out in steps, as a stream of the part `progress` of its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply
from ..web.page import Page

FOLLOW_SECONDS = 1.0


async def follow_progress(
    page: Page,
    process: ApiProcess,
    path: str,
    template: str,
    *,
    section: str,
    context_of: Callable[[ApiProcess, ApiReply], dict[str, Any]],
) -> AsyncIterator[tuple[str, str]]:
    """Read `path` of the service once a second, until the context says `is_over` or nothing is there any more.

    While the service does not answer, its last answer is shown, and that it is the last.
    """
    known: ApiReply | None = None
    while True:
        reply = await page.system.get(process, path, fresh_seconds=0)
        lost = reply if reply.is_away and known is not None else None
        if reply.ok:
            known = reply
        context = context_of(process, known if lost and known else reply)
        yield "", page.part(template, "progress", section=section, lost=lost, **context)
        if context["is_over"] or reply.is_missing:
            return
        await asyncio.sleep(FOLLOW_SECONDS)
