"""The route that lists the events that a service recorded in its outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ..http import cursor as cursors
from ..http.timestamp import Timestamp
from ..outbox.reader import LARGEST_ID, EventCriteria, Position, RecordedEvents
from .parameters import LIST, NEXT, PREVIOUS_CURSOR, Limit, Reader, Text

router = APIRouter(prefix="/v1", tags=["events"])

# W3C Trace Context: 32 hexadecimal digits.
TRACE_ID = r"^[0-9a-f]{32}$"


class RecordedEventView(BaseModel):
    """An event in the outbox, without its payload, which may be personal data."""

    model_config = ConfigDict(from_attributes=True)

    event_id: UUID
    source: str
    subject: str
    sequence: int
    type: str
    state: Literal["recorded", "sent", "published", "held"]
    recorded_at: datetime
    first_sent_at: datetime | None = Field(description="When the broker first accepted it.")
    sent_at: datetime | None = Field(description="When the broker last accepted it; null while it is to be sent again.")
    first_published_at: datetime | None = Field(description="When it was first seen on the publish check.")
    published_at: datetime | None = Field(
        description="When it was last seen on the publish check; null while it is to be sent again."
    )
    held_at: datetime | None
    held_reason: str | None = Field(description="Why it is held; null if it is held only behind another event.")
    held_behind: UUID | None = Field(description="The held event behind which it is held.")
    attempts: int = Field(description="Failed attempts to send it; a successful attempt is not counted.")
    republished: int = Field(description="How often it was marked as unsent, to be sent again.")
    last_error: str | None
    correlation_id: str | None = Field(description="The business transaction that it belongs to.")
    causation_id: str | None = Field(description="The event that caused it.")
    trace_id: str | None = Field(description="The trace in which it was recorded.")


class RecordedEventPage(BaseModel):
    """Recorded events, newest first."""

    items: list[RecordedEventView] = Field(description="It may be empty although there is another page.")
    next_cursor: str | None = Field(description=NEXT)


async def recorded_events(request: Request) -> RecordedEvents | None:
    """The reader that the application's state holds; None in a service without an outbox."""
    return cast(RecordedEvents | None, getattr(request.app.state, "recorded_events", None))


async def _of_publisher(request: Request) -> RecordedEvents:
    return cast(RecordedEvents, request.app.state.recorded_events)


RecordedEventsDep = Annotated[RecordedEvents, Depends(_of_publisher)]


@router.get("/recorded-events", summary="List recorded events, newest first", responses=LIST)
async def list_recorded_events(
    caller: Reader,
    events: RecordedEventsDep,
    subject: Annotated[Text | None, Query(description="Only of this subject, such as an order's id.")] = None,
    correlation_id: Annotated[Text | None, Query(description="Only of this business transaction.")] = None,
    causation_id: Annotated[Text | None, Query(description="Only those that this event caused.")] = None,
    trace_id: Annotated[str | None, Query(pattern=TRACE_ID, description="Only of this trace.")] = None,
    type: Text | None = None,
    since: Annotated[Timestamp | None, Query(description="Only events recorded at this time or later.")] = None,
    limit: Limit = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.PATTERN, description=PREVIOUS_CURSOR)] = None,
) -> RecordedEventPage:
    """Events in the outbox with their times. Published events are pruned after their retention.

    The events of a subject are found by an index. Other criteria are compared with at most 20,000 events a page, the
    newest first: continue with `next_cursor`, and restrict the search with `since`.
    """
    criteria = EventCriteria(subject, correlation_id, causation_id, trace_id, type, since)
    page = await events.page(criteria, limit=limit, before=None if cursor is None else _position(cursor))
    items = [RecordedEventView.model_validate(event) for event in page.events]
    following = None if page.following is None else cursors.encode(page.following[0], UUID(int=page.following[1]))
    return RecordedEventPage(items=items, next_cursor=following)


def _position(cursor: str) -> Position:
    at, id = cursors.decode(cursor)
    return at, min(id.int, LARGEST_ID)
