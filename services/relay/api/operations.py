"""Routes that change: hold, release, discard, replay, pause, resume."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from shared.http.openapi import problems
from shared.http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE
from shared.http.tokens import Principal

from ..operators.audit import Decision
from .dependencies import OperationsOf, Operator, Subject
from .problems import OUTBOX_STATE
from .schemas import (
    DiscardAnswer,
    DiscardRequest,
    HoldAnswer,
    PausedAnswer,
    Reason,
    ReleaseAnswer,
    ReplayAnswer,
    ReplayRequest,
)

router = APIRouter(prefix="/v1/outbox", tags=["operations"])

CHANGE = problems(NOT_FOUND, OUTBOX_STATE, INVALID_REQUEST, UNAVAILABLE)
SWITCH = problems(OUTBOX_STATE, INVALID_REQUEST, UNAVAILABLE)
LATER = {"Retry-After": {"description": "Seconds until it can be done.", "schema": {"type": "integer"}}}
DISCARD: dict[int | str, dict[str, Any]] = {**CHANGE, 409: {**CHANGE[409], "headers": LATER}}
LOCATION = {
    "Location": {"description": "Where its progress is.", "schema": {"type": "string", "format": "uri-reference"}}
}
REPLAY: dict[int | str, dict[str, Any]] = {
    **problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE),
    200: {"description": "A dry run: nothing was changed"},
    202: {"model": ReplayAnswer, "description": "Asked for; relays do it in steps", "headers": LOCATION},
}


@router.post("/groups/{subject:path}/hold", summary="Hold a group", responses=CHANGE)
async def hold_group(subject: Subject, body: Reason, caller: Operator, operations: OperationsOf) -> HoldAnswer:
    """Nothing of it is sent until it is released. What a relay has in hand may still go."""
    events = await operations.hold(subject, _decision(caller, body.reason))
    return HoldAnswer(subject=subject, events=events, settles_in_seconds=operations.settling_seconds)


@router.post("/groups/{subject:path}/release", status_code=202, summary="Let a held group go", responses=CHANGE)
async def release_group(subject: Subject, body: Reason, caller: Operator, operations: OperationsOf) -> ReleaseAnswer:
    """A relay lets it go in steps, in the order of its events; `GET /v1/outbox/groups/{subject}` says how far it is."""
    await operations.release(subject, _decision(caller, body.reason))
    return ReleaseAnswer(subject=subject, releasing=True)


@router.post("/events/{event_id}/discard", summary="Discard a held event", responses=DISCARD)
async def discard_event(
    event_id: UUID, body: DiscardRequest, caller: Operator, operations: OperationsOf
) -> DiscardAnswer:
    """For good; the audit keeps it. Refused until the event was held for so long that no call can bring it any more."""
    done = await operations.discard(event_id, _decision(caller, body.reason), keep_held=body.keep_held)
    return DiscardAnswer(event_id=event_id, subject=done.subject, released=done.released)


@router.post("/replays", summary="Send events again", responses=REPLAY)
async def request_replay(
    body: ReplayRequest, caller: Operator, operations: OperationsOf, request: Request, response: Response
) -> ReplayAnswer:
    """Counts by default; with `dry_run` false they go again, per group in order, before anything new is sent."""
    if body.dry_run or body.reason is None:
        events = await operations.count_replay(body.criteria())
        return ReplayAnswer(dry_run=True, events=events, replay=None)
    job, events = await operations.replay(body.criteria(), _decision(caller, body.reason))
    response.status_code = 202
    response.headers["Location"] = request.app.url_path_for("read_replay", id=str(job))
    return ReplayAnswer(dry_run=False, events=events, replay=job)


@router.post("/pause", summary="Pause the outbox", responses=SWITCH)
async def pause_outbox(body: Reason, caller: Operator, operations: OperationsOf) -> PausedAnswer:
    """Relays send nothing any more; what they have in hand may still go."""
    await operations.pause(_decision(caller, body.reason))
    return PausedAnswer(paused=True)


@router.post("/resume", summary="Resume the outbox", responses=SWITCH)
async def resume_outbox(body: Reason, caller: Operator, operations: OperationsOf) -> PausedAnswer:
    """Relays send again."""
    await operations.resume(_decision(caller, body.reason))
    return PausedAnswer(paused=False)


def _decision(caller: Principal, reason: str) -> Decision:
    return Decision(caller.subject, reason)
