"""The routes with which operators resolve dead letters, the same for every service that consumes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from ..http.idempotency import IdempotentRequestDep
from ..http.problems import NOT_FOUND, HttpProblem
from ..inbox.dead_letters import DeadLetterNotFound, DeadLetters
from ..inbox.selection import By
from .messages import (
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

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


def _dead_letters(request: Request) -> DeadLetters:
    return cast(DeadLetters, request.app.state.dead_letters)


DeadLettersDep = Annotated[DeadLetters, Depends(_dead_letters)]


class DeadLetterView(MessageView):
    """An event that could not be handled, and why."""


class DeadLetterPage(BaseModel):
    """Dead letters, newest first."""

    items: list[DeadLetterView]
    next_cursor: str | None = Field(description=NEXT)


class DeadLetterDetails(Details, DeadLetterView):
    """A dead letter with all that is known of it."""


class Redrive(Change):
    """Let them run again."""

    per_second: float | None = Field(None, gt=0, le=1000, description="How many are started each second.")


@router.get("", summary="List dead letters, newest first", responses=LIST)
async def list_dead_letters(
    caller: Reader,
    letters: DeadLettersDep,
    wanted: SelectionDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: CURSOR = None,
) -> DeadLetterPage:
    """Events that could not be handled, with the reason."""
    found = await letters.page(wanted, before=cursor, limit=limit + 1)
    items, following = paged(DeadLetterView, found, limit)
    return DeadLetterPage(items=items, next_cursor=following)


@router.get("/{event_id}", summary="Read a dead letter", responses=FIND)
async def read_dead_letter(event_id: EventId, caller: Operator, letters: DeadLettersDep) -> DeadLetterDetails:
    """With its envelope, and what operators did about it."""
    try:
        row, actions = await letters.show(event_id)
    except DeadLetterNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return DeadLetterDetails(**detailed(DeadLetterView, row, actions))


@router.post("/redrive", summary="Let dead letters run again", responses=CHANGE, response_model=ChangedList)
async def redrive_dead_letters(
    body: Redrive, caller: Operator, letters: DeadLettersDep, repeatable: IdempotentRequestDep
) -> ChangedList | Response:
    """In the order of their groups, through the same handlers."""
    if body.dry_run:
        return changed(True, await letters.oldest(body.selection, limit=body.limit))
    by = By(caller.subject, body.reason)
    redrive = partial(letters.redrive, body.selection, by, per_second=body.per_second, limit=body.limit)
    with refusing():
        return await repeatable.respond(caller, lambda once: redrive(once=once), answer)


@router.post("/discard", summary="Give dead letters up", responses=CHANGE, response_model=ChangedList)
async def discard_dead_letters(
    body: Change, caller: Operator, letters: DeadLettersDep, repeatable: IdempotentRequestDep
) -> ChangedList | Response:
    """They are never handled; what waits behind one goes on."""
    if body.dry_run:
        return changed(True, await letters.oldest(body.selection, limit=body.limit))
    discard = partial(letters.discard, body.selection, By(caller.subject, body.reason), limit=body.limit)
    with refusing():
        return await repeatable.respond(caller, lambda once: discard(once=once), answer)
