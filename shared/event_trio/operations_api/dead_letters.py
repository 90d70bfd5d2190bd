"""Routes with which operators resolve dead letters."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from ..http.idempotency import IdempotentRequestDep
from ..http.problems import NOT_FOUND, HttpProblem
from ..inbox.dead_letters import DeadLetterNotFound, DeadLetters
from ..inbox.selection import By
from .message_envelopes import READ_MESSAGE, MessageEnvelopesDep
from .messages import (
    ChangedMessageList,
    MessageChangeRequest,
    MessageDetails,
    MessageView,
    Rate,
    SelectionDep,
    changed,
    conflicts_as_problems,
    paged,
    response,
)
from .parameters import CHANGE, LIST, NEXT, Cursor, EventId, Limit, Operator, Reader

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


async def _dead_letters(request: Request) -> DeadLetters:
    return cast(DeadLetters, request.app.state.dead_letters)


DeadLettersDep = Annotated[DeadLetters, Depends(_dead_letters)]


class DeadLetterView(MessageView):
    """An event that could not be handled, and the reason."""


class DeadLetterPage(BaseModel):
    """Dead letters, newest first."""

    items: list[DeadLetterView]
    next_cursor: str | None = Field(description=NEXT)


class DeadLetterDetails(MessageDetails, DeadLetterView):
    """A dead letter with its envelope, attributes and operators' actions."""


class RedriveRequest(MessageChangeRequest):
    """Which dead letters to redrive, and why."""

    per_second: Rate | None = None


@router.get("", summary="List dead letters, newest first", responses=LIST)
async def list_dead_letters(
    caller: Reader, letters: DeadLettersDep, selection: SelectionDep, limit: Limit = 20, cursor: Cursor = None
) -> DeadLetterPage:
    """Events that could not be handled, with the reason."""
    found = await letters.page(selection, before=cursor, limit=limit + 1)
    items, following = paged(DeadLetterView, found, limit)
    return DeadLetterPage(items=items, next_cursor=following)


@router.get("/{event_id}", summary="Read a dead letter", responses=READ_MESSAGE)
async def read_dead_letter(
    event_id: EventId, caller: Operator, letters: DeadLettersDep, envelopes: MessageEnvelopesDep
) -> DeadLetterDetails:
    """Includes the operators' actions on it, and the envelope. Personal data in it is masked, unless `unmasked`."""
    try:
        row, actions = await letters.show(event_id)
    except DeadLetterNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return DeadLetterDetails(**await envelopes.details(DeadLetterView, row, actions))


@router.post("/redrive", summary="Redrive dead letters", responses=CHANGE, response_model=ChangedMessageList)
async def redrive_dead_letters(
    body: RedriveRequest, caller: Operator, letters: DeadLettersDep, request: IdempotentRequestDep
) -> ChangedMessageList | Response:
    """Runs their handlers again, in the order of each message group."""
    if body.dry_run:
        return changed(await letters.oldest(body.selection, limit=body.limit), dry_run=True)
    by = By(caller.subject, body.reason)
    redrive = partial(letters.redrive, body.selection, by, per_second=body.per_second, limit=body.limit)
    with conflicts_as_problems():
        return await request.respond(caller, lambda once: redrive(once=once), response)


@router.post("/discard", summary="Discard dead letters", responses=CHANGE, response_model=ChangedMessageList)
async def discard_dead_letters(
    body: MessageChangeRequest, caller: Operator, letters: DeadLettersDep, request: IdempotentRequestDep
) -> ChangedMessageList | Response:
    """They are never handled. Messages that wait for them continue."""
    if body.dry_run:
        return changed(await letters.oldest(body.selection, limit=body.limit), dry_run=True)
    discard = partial(letters.discard, body.selection, By(caller.subject, body.reason), limit=body.limit)
    with conflicts_as_problems():
        return await request.respond(caller, lambda once: discard(once=once), response)
