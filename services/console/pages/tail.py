"""The live tail: what happens to events at all services, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..web.dependencies import ReaderPage
from ..web.page import Page, query
from ..web.times import parse
from .message_filters import service_of
from .tail_steps import OVERLAP, PROCESSED, RECORDED, StepBatch, Tail, TailFilter, now

router = APIRouter(include_in_schema=False)

SECTION = "tail"
RECENT = timedelta(minutes=10)
"""How far back the page begins, and how far back a tail that was paused continues."""
SHOWN = 50
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@router.get("/tail")
async def show_tail(page: ReaderPage, service: Text = "", subject: Text = "", type: Text = "") -> Response:
    """The last steps. Two calls a service."""
    chosen = _filter(page, service, subject, type)
    batch = await Tail(page.system, chosen, since=now() - RECENT).read(RECORDED, PROCESSED)
    return page.render(
        "tail.html",
        section=SECTION,
        chosen=chosen,
        services=page.system.processes.services,
        steps=list(reversed(batch.steps))[:SHOWN],
        stream=query("/tail/stream", chosen.given),
        last=max((step.at for step in batch.steps), default=now()).isoformat(),
        failed=batch.failed,
    )


@router.get("/tail/stream")
async def follow_tail(
    page: ReaderPage, service: Text = "", subject: Text = "", type: Text = "", after: Text = ""
) -> Response:
    """The steps after a time, as rows of the table. A call a service and second."""
    chosen = _filter(page, service, subject, type)
    # Steps are read again from a while before, because some are committed late: the page knows those that it shows.
    shown = parse(after.replace(" ", "+")) or now()
    began = max(shown, now() - RECENT) - OVERLAP
    return page.follow(_rows(page, Tail(page.system, chosen, since=began)))


async def _rows(page: Page, tail: Tail) -> AsyncIterator[tuple[str, str]]:
    async for batch in tail.follow():
        # The id of the last step is its time, from which the browser continues.
        yield batch.steps[-1].at.isoformat() if batch.steps else "", _rendered(page, batch)


def _rendered(page: Page, batch: StepBatch) -> str:
    """The new rows; empty if nothing happened."""
    if not (batch.steps or batch.failed or batch.skipped):
        return ""
    steps = list(reversed(batch.steps))[:SHOWN]
    return page.part("tail_rows.html", "rows", steps=steps, failed=batch.failed, skipped=batch.skipped, in_stream=True)


def _filter(page: Page, service: str, subject: str, type: str) -> TailFilter:
    if service:
        service_of(page, service)
    return TailFilter(service, subject.strip(), type.strip())
