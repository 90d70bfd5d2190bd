"""The route that shows one event as a service knows it: recorded in its outbox, processed by its consumer, or both."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from ..http.problems import NOT_FOUND, HttpProblem
from ..outbox.reader import RecordedEvents
from .operator_actions import OperatorActionView
from .parameters import READ, EventId, Reader
from .processed_messages import ProcessedMessagesDep, ProcessedMessageView, fields_of
from .recorded_events import RecordedEventView, recorded_events

router = APIRouter(prefix="/v1", tags=["events"])


class ProcessedMessageDetails(ProcessedMessageView):
    """A processed message with the operators' actions on it."""

    actions: list[OperatorActionView] = Field(description="The newest first, at most 50.")


class EventView(BaseModel):
    """An event as this service knows it."""

    event_id: str
    recorded: RecordedEventView | None = Field(description="Null if this service's outbox does not contain it.")
    processed: ProcessedMessageDetails | None = Field(description="Null if this service has not processed it.")


RecordedEventsDep = Annotated[RecordedEvents | None, Depends(recorded_events)]


@router.get("/events/{event_id}", summary="Read an event", responses=READ)
async def read_event(
    event_id: EventId, caller: Reader, events: RecordedEventsDep, messages: ProcessedMessagesDep
) -> EventView:
    """When it was recorded, sent and published, if this service published it, and what its consumer did with it."""
    id = _uuid(event_id)
    recorded = None if events is None or id is None else await events.find(id)
    processed = await messages.find(event_id)
    if recorded is None and processed is None:
        if events is not None and id is not None and await events.is_discarded(id):
            raise HttpProblem(NOT_FOUND, "an operator of the outbox discarded this event; the relay's audit has it")
        raise HttpProblem(NOT_FOUND, "this service neither recorded nor processed this event, or has pruned it")
    return EventView(
        event_id=event_id,
        recorded=None if recorded is None else RecordedEventView.model_validate(recorded),
        processed=None
        if processed is None
        else ProcessedMessageDetails(
            **fields_of(processed[0]),
            actions=[OperatorActionView.model_validate(row, from_attributes=True) for row in processed[1]],
        ),
    )


def _uuid(text: str) -> UUID | None:
    """The id of an outbox event. Another service's events may have ids of another form."""
    try:
        return UUID(text)
    except ValueError:
        return None
