"""Routes that change the outbox: hold, release, discard, replay, cancel, pause, resume, accept a new broker."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from event_trio.http.idempotency import IN_USE, REUSED, IdempotentRequestDep, response_of
from event_trio.http.openapi import problems
from event_trio.http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, ProblemKind
from event_trio.http.tokens import Principal
from event_trio.idempotency.keyed_request import StoredResponse

from ..audit_log import Decision
from ..jobs.replay_requests import AtLeast
from ..operators.operations import Discarded
from .dependencies import BrokerAcceptanceOf, OperationsOf, Operator, Subject
from .problems import OUTBOX_STATE
from .schemas import (
    AcceptedAnswer,
    CancelAnswer,
    DiscardAnswer,
    DiscardRequest,
    HoldAnswer,
    OperatorReason,
    PausedAnswer,
    ReleaseAnswer,
    ReplayAnswer,
    ReplayRequest,
)

router = APIRouter(prefix="/v1/outbox", tags=["operations"])

LOCATION = {
    "Location": {
        "description": "The address of the replay, with its progress.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}


def _problems(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    return problems(*kinds, IN_USE, INVALID_REQUEST, REUSED, UNAVAILABLE)


CHANGE = _problems(NOT_FOUND, OUTBOX_STATE)
SWITCH = _problems(OUTBOX_STATE)
REPLAY: dict[int | str, dict[str, Any]] = {
    **_problems(NOT_FOUND),
    200: {"description": "A dry run; nothing was changed"},
    202: {"model": ReplayAnswer, "description": "Requested; a relay carries it out in steps", "headers": LOCATION},
}


@router.post("/groups/{subject:path}/hold", summary="Hold a group", responses=CHANGE, response_model=HoldAnswer)
async def hold_group(
    subject: Subject, body: OperatorReason, caller: Operator, operations: OperationsOf, repeatable: IdempotentRequestDep
) -> Response:
    """Stop sending the message group until it is released, whether or not it has waiting events.

    Events that a relay has already read may still be sent. The state `held` of an order is a different thing.
    """

    def answer(events: int) -> StoredResponse:
        settles = operations.settling_seconds
        return response_of(HoldAnswer(subject=subject, events=events, settles_in_seconds=settles))

    hold = partial(operations.hold, subject, _decision(caller, body.reason))
    return await repeatable.respond(caller, lambda once: hold(once=once), answer)


@router.post(
    "/groups/{subject:path}/release",
    status_code=202,
    summary="Release a held group",
    responses=CHANGE,
    response_model=ReleaseAnswer,
)
async def release_group(
    subject: Subject, body: OperatorReason, caller: Operator, operations: OperationsOf, repeatable: IdempotentRequestDep
) -> Response:
    """A relay releases it in steps; `GET /v1/outbox/groups/{subject}` shows the progress."""

    def answer(_: None) -> StoredResponse:
        return response_of(ReleaseAnswer(subject=subject, releasing=True), 202)

    release = partial(operations.release, subject, _decision(caller, body.reason))
    return await repeatable.respond(caller, lambda once: release(once=once), answer)


@router.post(
    "/events/{event_id}/discard", summary="Discard a held event", responses=CHANGE, response_model=DiscardAnswer
)
async def discard_event(
    event_id: UUID, body: DiscardRequest, caller: Operator, operations: OperationsOf, repeatable: IdempotentRequestDep
) -> Response:
    """Delete a held event permanently; the audit keeps it. Refused while a call in progress could still send it."""

    def answer(done: Discarded) -> StoredResponse:
        return response_of(DiscardAnswer(event_id=event_id, subject=done.subject, released=done.released))

    discard = partial(operations.discard, event_id, _decision(caller, body.reason), keep_held=body.keep_held)
    return await repeatable.respond(caller, lambda once: discard(once=once), answer)


@router.post("/replays", summary="Send events again", responses=REPLAY, response_model=ReplayAnswer)
async def request_replay(
    body: ReplayRequest, caller: Operator, operations: OperationsOf, request: Request, repeatable: IdempotentRequestDep
) -> ReplayAnswer | Response:
    """Counts by default. With `dry_run` false, events are sent again, in each group in order and before new ones."""
    if body.dry_run or body.reason is None:
        events = await operations.count_replay(body.criteria())
        return ReplayAnswer(dry_run=True, events=events, at_least=isinstance(events, AtLeast), replay=None)

    def answer(asked: tuple[int, int]) -> StoredResponse:
        job, events = asked
        address = str(request.app.url_path_for("read_replay", id=str(job)))
        asked_for = ReplayAnswer(dry_run=False, events=events, at_least=isinstance(events, AtLeast), replay=job)
        return response_of(asked_for, 202, Location=address)

    replay = partial(operations.replay, body.criteria(), _decision(caller, body.reason))
    return await repeatable.respond(caller, lambda once: replay(once=once), answer)


@router.post("/replays/{id}/cancel", summary="Cancel a replay", responses=CHANGE, response_model=CancelAnswer)
async def cancel_replay(
    id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    body: OperatorReason,
    caller: Operator,
    operations: OperationsOf,
    repeatable: IdempotentRequestDep,
) -> Response:
    """Stop replaying. Events already marked as unsent are sent again; the groups continue."""
    cancel = partial(operations.cancel_replay, id, _decision(caller, body.reason))
    return await repeatable.respond(
        caller, lambda once: cancel(once=once), lambda replayed: response_of(CancelAnswer(replay=id, replayed=replayed))
    )


@router.post("/pause", summary="Pause the outbox", responses=SWITCH, response_model=PausedAnswer)
async def pause_outbox(
    body: OperatorReason, caller: Operator, operations: OperationsOf, repeatable: IdempotentRequestDep
) -> Response:
    """Relays stop sending; events that they have already read may still be sent."""
    pause = partial(operations.pause, _decision(caller, body.reason))
    return await repeatable.respond(
        caller, lambda once: pause(once=once), lambda _: response_of(PausedAnswer(paused=True))
    )


@router.post("/resume", summary="Resume the outbox", responses=SWITCH, response_model=PausedAnswer)
async def resume_outbox(
    body: OperatorReason, caller: Operator, operations: OperationsOf, repeatable: IdempotentRequestDep
) -> Response:
    """Relays send again."""
    resume = partial(operations.resume, _decision(caller, body.reason))
    return await repeatable.respond(
        caller, lambda once: resume(once=once), lambda _: response_of(PausedAnswer(paused=False))
    )


@router.post("/broker/accept", summary="Accept a new broker", responses=SWITCH, response_model=AcceptedAnswer)
async def accept_broker(
    body: OperatorReason, caller: Operator, broker_acceptance: BrokerAcceptanceOf, repeatable: IdempotentRequestDep
) -> Response:
    """Replays nothing. If the broker lost messages that subscribers had not read, request a replay instead."""
    accept = partial(broker_acceptance.accept_broker, _decision(caller, body.reason))
    return await repeatable.respond(
        caller, lambda once: accept(once=once), lambda broker: response_of(AcceptedAnswer(broker=broker))
    )


def _decision(caller: Principal, reason: str) -> Decision:
    return Decision(caller.subject, reason)
