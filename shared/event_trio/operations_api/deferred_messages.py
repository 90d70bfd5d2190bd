"""The routes with which operators resolve messages that wait, the same for every service that consumes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from ..http.idempotency import IN_USE, REUSED, IdempotentRequestDep
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from ..inbox.deferred import Status
from ..inbox.deferred_messages import DeferredMessageNotFound, DeferredMessages
from ..inbox.selection import By, Selection
from .messages import (
    BLOCKED,
    BUSY,
    CHANGE,
    CURSOR,
    FIND,
    LIST,
    NEXT,
    Change,
    ChangedList,
    Details,
    EventId,
    MessageView,
    Operator,
    Reader,
    SelectionDep,
    answer,
    changed,
    detailed,
    paged,
    refusing,
)

router = APIRouter(prefix="/v1/deferred-messages", tags=["deferred messages"])

RUN = problems(INVALID_REQUEST, REUSED, IN_USE, BUSY, BLOCKED, UNAVAILABLE)

Pending = Literal["waiting", "blocked"]
STATUS = "`waiting`: it runs again when it is due; `blocked`: it waits for those of its group before it."


def _deferred_messages(request: Request) -> DeferredMessages:
    return cast(DeferredMessages, request.app.state.deferred_messages)


DeferredMessagesDep = Annotated[DeferredMessages, Depends(_deferred_messages)]


class DeferredMessageView(MessageView):
    """An event that waits, and what for."""

    status: Pending = Field(description=STATUS)
    due_at: datetime | None = Field(description="When it runs again; null for one that waits behind others.")
    taken_until: datetime | None = Field(description="If that is not past, it is being handled.")


class DeferredMessagePage(BaseModel):
    """Messages that wait, newest first."""

    items: list[DeferredMessageView]
    next_cursor: str | None = Field(description=NEXT)


class DeferredMessageDetails(Details, DeferredMessageView):
    """A message that waits with all that is known of it."""


class DeferredChange(Change):
    """Which messages that wait are meant, and why: one by its event id, those of a filter, or `all`."""

    status: Pending | None = Field(None, description=STATUS)

    @property
    def selection(self) -> Selection:
        return _among(super().selection, self.status)


@router.get("", summary="List messages that wait, newest first", responses=LIST)
async def list_deferred_messages(
    caller: Reader,
    messages: DeferredMessagesDep,
    wanted: SelectionDep,
    status: Annotated[Pending | None, Query(description=STATUS)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: CURSOR = None,
) -> DeferredMessagePage:
    """Events that run again later, and those behind them."""
    found = await messages.page(_among(wanted, status), before=cursor, limit=limit + 1)
    items, following = paged(DeferredMessageView, found, limit)
    return DeferredMessagePage(items=items, next_cursor=following)


@router.get("/{event_id}", summary="Read a message that waits", responses=FIND)
async def read_deferred_message(
    event_id: EventId, caller: Operator, messages: DeferredMessagesDep
) -> DeferredMessageDetails:
    """With its envelope, and what operators did about it."""
    try:
        row, actions = await messages.show(event_id)
    except DeferredMessageNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return DeferredMessageDetails(**detailed(DeferredMessageView, row, actions))


@router.post("/run", summary="Run messages that wait now", responses=RUN, response_model=ChangedList)
async def run_deferred_messages(
    body: DeferredChange, caller: Operator, messages: DeferredMessagesDep, repeatable: IdempotentRequestDep
) -> ChangedList | Response:
    """The first of each group; the rest of it follows in order. It is one more attempt, as their policies count."""
    with refusing():
        if body.dry_run:
            return changed(True, await messages.would_run(body.selection, limit=body.limit))
        run = partial(messages.run, body.selection, By(caller.subject, body.reason), limit=body.limit)
        return await repeatable.respond(caller, lambda once: run(once=once), answer)


@router.post("/discard", summary="Give messages that wait up", responses=CHANGE, response_model=ChangedList)
async def discard_deferred_messages(
    body: DeferredChange, caller: Operator, messages: DeferredMessagesDep, repeatable: IdempotentRequestDep
) -> ChangedList | Response:
    """They are never handled; what waits behind one goes on."""
    with refusing():
        if body.dry_run:
            return changed(True, await messages.would_discard(body.selection, limit=body.limit))
        discard = partial(messages.discard, body.selection, By(caller.subject, body.reason), limit=body.limit)
        return await repeatable.respond(caller, lambda once: discard(once=once), answer)


def _among(selection: Selection, status: Pending | None) -> Selection:
    return selection if status is None else replace(selection, status=Status(status))
