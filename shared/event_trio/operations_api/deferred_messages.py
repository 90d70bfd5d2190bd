"""Routes with which operators resolve deferred messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from ..http.idempotency import IdempotentRequestDep
from ..http.problems import NOT_FOUND, HttpProblem
from ..inbox.deferred_messages import DeferredMessageNotFound, DeferredMessages
from ..inbox.selection import By, Selection
from ..inbox.states import Status
from .message_envelopes import READ_MESSAGE, MessageEnvelopesDep
from .messages import (
    ChangedMessageList,
    MessageChangeRequest,
    MessageDetails,
    MessageView,
    SelectionDep,
    changed,
    conflicts_as_problems,
    paged,
    response,
)
from .parameters import CHANGE, LIST, NEXT, RUN, Cursor, EventId, Limit, Operator, Reader

router = APIRouter(prefix="/v1/deferred-messages", tags=["deferred messages"])

Pending = Literal["waiting", "blocked"]
STATUS = "`waiting`: it runs again when it is due. `blocked`: it waits for earlier messages of its group."


async def _deferred_messages(request: Request) -> DeferredMessages:
    return cast(DeferredMessages, request.app.state.deferred_messages)


DeferredMessagesDep = Annotated[DeferredMessages, Depends(_deferred_messages)]


class DeferredMessageView(MessageView):
    """An event that is to run later."""

    status: Pending = Field(description=STATUS)
    due_at: datetime | None = Field(description="When it runs again; null while it is blocked.")
    taken_until: datetime | None = Field(description="It is being handled now if this time is in the future.")


class DeferredMessagePage(BaseModel):
    """Deferred messages, newest first."""

    items: list[DeferredMessageView]
    next_cursor: str | None = Field(description=NEXT)


class DeferredMessageDetails(MessageDetails, DeferredMessageView):
    """A deferred message with its envelope, attributes and operators' actions."""


class DeferredMessageChangeRequest(MessageChangeRequest):
    """Which deferred messages to change, and why: one by its event id, those that match a filter, or `all`."""

    status: Pending | None = Field(None, description=STATUS)

    @property
    def selection(self) -> Selection:
        return _with_status(super().selection, self.status)


@router.get("", summary="List deferred messages, newest first", responses=LIST)
async def list_deferred_messages(
    caller: Reader,
    messages: DeferredMessagesDep,
    selection: SelectionDep,
    status: Annotated[Pending | None, Query(description=STATUS)] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> DeferredMessagePage:
    """Events that run again later, and those that they block."""
    found = await messages.page(_with_status(selection, status), before=cursor, limit=limit + 1)
    items, following = paged(DeferredMessageView, found, limit)
    return DeferredMessagePage(items=items, next_cursor=following)


@router.get("/{event_id}", summary="Read a deferred message", responses=READ_MESSAGE)
async def read_deferred_message(
    event_id: EventId, caller: Operator, messages: DeferredMessagesDep, envelopes: MessageEnvelopesDep
) -> DeferredMessageDetails:
    """Includes the operators' actions on it, and the envelope. Personal data in it is masked, unless `unmasked`."""
    try:
        row, actions = await messages.show(event_id)
    except DeferredMessageNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return DeferredMessageDetails(**await envelopes.details(DeferredMessageView, row, actions))


@router.post("/run", summary="Run deferred messages now", responses=RUN, response_model=ChangedMessageList)
async def run_deferred_messages(
    body: DeferredMessageChangeRequest, caller: Operator, messages: DeferredMessagesDep, request: IdempotentRequestDep
) -> ChangedMessageList | Response:
    """Runs the first of each group; the rest follow in order. It counts as one more attempt of the failure policy."""
    with conflicts_as_problems():
        if body.dry_run:
            return changed(await messages.would_run(body.selection, limit=body.limit), dry_run=True)
        run = partial(messages.run, body.selection, By(caller.subject, body.reason), limit=body.limit)
        return await request.respond(caller, lambda once: run(once=once), response)


@router.post("/discard", summary="Discard deferred messages", responses=CHANGE, response_model=ChangedMessageList)
async def discard_deferred_messages(
    body: DeferredMessageChangeRequest, caller: Operator, messages: DeferredMessagesDep, request: IdempotentRequestDep
) -> ChangedMessageList | Response:
    """They are never handled. Messages that wait for them continue."""
    with conflicts_as_problems():
        if body.dry_run:
            return changed(await messages.would_discard(body.selection, limit=body.limit), dry_run=True)
        discard = partial(messages.discard, body.selection, By(caller.subject, body.reason), limit=body.limit)
        return await request.respond(caller, lambda once: discard(once=once), response)


def _with_status(selection: Selection, status: Pending | None) -> Selection:
    return selection if status is None else replace(selection, status=Status(status))
