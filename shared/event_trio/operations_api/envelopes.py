"""Routes that show the envelope of a recorded event: masked, and unmasked after a reason was recorded."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from ..http.body import RequestBody
from ..http.idempotency import IN_USE, REUSED, IdempotentRequestDep, response_of
from ..http.openapi import problems
from ..http.problems import FORBIDDEN, INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from ..idempotency.keyed_request import StoredResponse
from ..inbox.revealing import REVEALED_SECONDS, RevealedEvent, Revealing
from ..inbox.selection import By
from ..outbox.reader import RecordedEvents
from .masking import PersonalFields, masked_envelope
from .parameters import Operator, ReasonText

router = APIRouter(prefix="/v1/events", tags=["events"])

ENVELOPE = problems(FORBIDDEN, NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)
ASK = problems(NOT_FOUND, INVALID_REQUEST, REUSED, IN_USE, UNAVAILABLE)


class EnvelopeView(BaseModel):
    """The envelope of an event with its payload."""

    event_id: UUID
    envelope: dict[str, Any] = Field(description="As it is sent; masked values are replaced.")
    masked: list[str] = Field(description="The fields of `data` that are masked because they are personal data.")


class RevealRequest(RequestBody):
    """Why personal data is to be shown; recorded with the event."""

    reason: ReasonText = Field(examples=["the customer asked what was sent"])


class RevealView(BaseModel):
    """A reason was recorded, and its author may read the envelope unmasked."""

    event_id: UUID
    seconds: int = Field(description="For so long.")


async def _events(request: Request) -> RecordedEvents:
    return cast(RecordedEvents, request.app.state.recorded_events)


async def _personal(request: Request) -> PersonalFields:
    return cast(PersonalFields, request.app.state.personal_fields)


async def _revealing(request: Request) -> Revealing:
    return cast(Revealing, request.app.state.revealing)


EventsDep = Annotated[RecordedEvents, Depends(_events)]
PersonalFieldsDep = Annotated[PersonalFields, Depends(_personal)]
RevealingDep = Annotated[Revealing, Depends(_revealing)]


@router.get("/{event_id}/envelope", summary="Read an envelope", responses=ENVELOPE)
async def read_envelope(
    event_id: UUID,
    caller: Operator,
    events: EventsDep,
    personal: PersonalFieldsDep,
    revealing: RevealingDep,
    unmasked: Annotated[bool, Query(description="Requires a reason that the caller gave before.")] = False,
) -> EnvelopeView:
    """The envelope of an event of this service's outbox. Fields with personal data are masked, unless `unmasked`."""
    envelope = await _found(event_id, events)
    if unmasked:
        if not await revealing.may_see(str(event_id), caller.subject):
            raise HttpProblem(FORBIDDEN, f"give a reason first: POST /v1/events/{event_id}/reveals")
        return EnvelopeView(event_id=event_id, envelope=envelope, masked=[])
    envelope, masked = masked_envelope(envelope, personal)
    return EnvelopeView(event_id=event_id, envelope=envelope, masked=masked)


@router.post("/{event_id}/reveals", summary="Ask for personal data", responses=ASK, response_model=RevealView)
async def reveal_event(
    event_id: UUID,
    body: RevealRequest,
    caller: Operator,
    events: EventsDep,
    revealing: RevealingDep,
    request: IdempotentRequestDep,
) -> Response:
    """Record who asks and why. For a few minutes the caller may then read the envelope unmasked."""
    envelope = await _found(event_id, events)
    about = RevealedEvent(str(event_id), str(envelope.get("partitionkey", "")), str(envelope.get("type", "")))
    record = partial(revealing.record, about, By(caller.subject, body.reason))

    def answer(_: None) -> StoredResponse:
        return response_of(RevealView(event_id=event_id, seconds=REVEALED_SECONDS))

    return await request.respond(caller, lambda once: record(once=once), answer)


async def _found(event_id: UUID, events: RecordedEvents) -> dict[str, Any]:
    envelope = await events.envelope(event_id)
    if envelope is None:
        raise HttpProblem(NOT_FOUND, "this event is not in the outbox of this service: unknown, or pruned")
    return envelope
