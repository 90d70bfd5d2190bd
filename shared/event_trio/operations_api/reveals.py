"""Routes with which an operator tells that the payload of a message is looked at, and why."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from ..http.body import RequestBody
from ..http.idempotency import IN_USE, REUSED, IdempotentRequestDep, response_of
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from ..http.tokens import Principal
from ..inbox.dead_letters import DeadLetterNotFound
from ..inbox.deferred_messages import DeferredMessageNotFound
from ..inbox.revealing import RevealedEvent, Revealing
from ..inbox.selection import By
from .dead_letters import DeadLettersDep
from .deferred_messages import DeferredMessagesDep
from .message_envelopes import RevealingDep
from .parameters import EventId, Operator, ReasonText

router = APIRouter(prefix="/v1")

ASK = problems(NOT_FOUND, INVALID_REQUEST, REUSED, IN_USE, UNAVAILABLE)


class MessageRevealRequest(RequestBody):
    """Why the payload of a message is looked at; recorded with the message."""

    reason: ReasonText


class MessageRevealView(BaseModel):
    """A reason was recorded."""

    event_id: str


@router.post(
    "/dead-letters/{event_id}/reveals",
    summary="Record why a dead letter is looked at",
    tags=["dead letters"],
    responses=ASK,
    response_model=MessageRevealView,
)
async def reveal_dead_letter(
    event_id: EventId,
    body: MessageRevealRequest,
    caller: Operator,
    letters: DeadLettersDep,
    revealing: RevealingDep,
    request: IdempotentRequestDep,
) -> Response:
    """The audit keeps who asked and why. For a few minutes the caller may then read the dead letter unmasked."""
    try:
        row, _ = await letters.show(event_id)
    except DeadLetterNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return await _record(row, body, caller, revealing, request)


@router.post(
    "/deferred-messages/{event_id}/reveals",
    summary="Record why a deferred message is looked at",
    tags=["deferred messages"],
    responses=ASK,
    response_model=MessageRevealView,
)
async def reveal_deferred_message(
    event_id: EventId,
    body: MessageRevealRequest,
    caller: Operator,
    messages: DeferredMessagesDep,
    revealing: RevealingDep,
    request: IdempotentRequestDep,
) -> Response:
    """The audit keeps who asked and why. For a few minutes the caller may then read the deferred message unmasked."""
    try:
        row, _ = await messages.show(event_id)
    except DeferredMessageNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    return await _record(row, body, caller, revealing, request)


async def _record(
    row: Any, body: MessageRevealRequest, caller: Principal, revealing: Revealing, request: IdempotentRequestDep
) -> Response:
    about = RevealedEvent(row.event_id, row.message_group, row.type, row.attempts)
    record = partial(revealing.record, about, By(caller.subject, body.reason))
    view = MessageRevealView(event_id=row.event_id)
    return await request.respond(caller, lambda once: record(once=once), lambda _: response_of(view))
