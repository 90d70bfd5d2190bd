"""Routes that show the envelope and payload of a recorded event: masked, and unmasked for a reason that is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from ..contracts.payload import PERSONAL, EventPayload
from ..http.body import RequestBody
from ..http.problems import NOT_FOUND, HttpProblem
from ..inbox.revealing import Revealed, Revealing
from ..inbox.selection import By
from ..outbox.reader import RecordedEvents
from .parameters import READ, BodyText, Operator

router = APIRouter(prefix="/v1/events", tags=["events"])

MASK = "•••"
PersonalFields = Mapping[str, frozenset[str]]
"""The fields with personal data by the type of an event, over all its versions."""


class EnvelopeView(BaseModel):
    """The envelope of an event with its payload."""

    event_id: UUID
    envelope: dict[str, Any] = Field(description="As it is sent; masked values are replaced.")
    masked: list[str] = Field(description="The fields of `data` that are masked because they are personal data.")


class RevealRequest(RequestBody):
    """Why personal data is to be shown; recorded with the event."""

    reason: BodyText


async def _events(request: Request) -> RecordedEvents:
    return cast(RecordedEvents, request.app.state.recorded_events)


async def _personal(request: Request) -> PersonalFields:
    return cast(PersonalFields, request.app.state.personal_fields)


async def _revealing(request: Request) -> Revealing:
    return cast(Revealing, request.app.state.revealing)


EventsDep = Annotated[RecordedEvents, Depends(_events)]
PersonalFieldsDep = Annotated[PersonalFields, Depends(_personal)]
RevealingDep = Annotated[Revealing, Depends(_revealing)]


@router.get("/{event_id}/envelope", summary="Read an envelope, masked", responses=READ)
async def read_envelope(
    event_id: UUID, caller: Operator, events: EventsDep, personal: PersonalFieldsDep
) -> EnvelopeView:
    """The envelope of an event of this service's outbox. Fields with personal data are masked."""
    envelope = await _found(event_id, events)
    masked = masked_fields(envelope, personal)
    if masked:
        data = {name: MASK if name in masked else value for name, value in envelope["data"].items()}
        envelope = {**envelope, "data": data}
    return EnvelopeView(event_id=event_id, envelope=envelope, masked=masked)


@router.post("/{event_id}/envelope/reveal", summary="Read an envelope with personal data", responses=READ)
async def reveal_envelope(
    event_id: UUID, body: RevealRequest, caller: Operator, events: EventsDep, revealing: RevealingDep
) -> EnvelopeView:
    """The whole envelope. Who asked and why is recorded before it is returned."""
    envelope = await _found(event_id, events)
    about = Revealed(str(event_id), str(envelope.get("partitionkey", "")), str(envelope.get("type", "")))
    await revealing.record(about, By(caller.subject, body.reason))
    return EnvelopeView(event_id=event_id, envelope=envelope, masked=[])


def personal_fields(events: Iterable[type[EventPayload]]) -> PersonalFields:
    """The fields that the payloads of a service declare as personal data."""
    found: dict[str, frozenset[str]] = {}
    for event in events:
        extras = {name: field.json_schema_extra for name, field in event.model_fields.items()}
        names = {name for name, extra in extras.items() if isinstance(extra, dict) and extra.get(PERSONAL)}
        found[event.type] = found.get(event.type, frozenset()) | names
    return found


def masked_fields(envelope: Mapping[str, Any], personal: PersonalFields) -> list[str]:
    """The fields of the payload to mask: of a type that this process does not know, all."""
    data = envelope.get("data")
    if not isinstance(data, dict):
        return []
    known = personal.get(str(envelope.get("type")))
    return sorted(name for name in data if known is None or name in known)


async def _found(event_id: UUID, events: RecordedEvents) -> dict[str, Any]:
    envelope = await events.envelope(event_id)
    if envelope is None:
        raise HttpProblem(NOT_FOUND, "this event is not in the outbox of this service: unknown, or pruned")
    return envelope
