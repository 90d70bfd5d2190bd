"""The route that shows what a consumer is done with, the same for every service that consumes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from ..http import cursor as cursors
from ..http.authorization import RequireRole
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, UNAVAILABLE
from ..http.tokens import Principal, Role
from ..inbox.reader import ProcessedMessages

router = APIRouter(prefix="/v1", tags=["messages"])

RESPONSES = problems(INVALID_REQUEST, UNAVAILABLE)
# Postgres has no place for U+0000 in a text.
Text = Annotated[str, Query(max_length=2048, pattern=r"^[^\x00]+$")]
NEXT = "Give it as `cursor` for what follows; null at the end."


class ProcessedMessageView(BaseModel):
    """An event that the service is done with. Of a message that is no event only `message_id` is known."""

    consumer: str
    event_id: str
    message_id: str = Field(description="The broker's own id of the message.")
    source: str | None
    subject: str | None
    sequence: int | None
    type: str | None
    time: datetime | None = Field(description="When the event happened.")
    processed_at: datetime
    outcome: str = Field(examples=["handled", "handled_stale", "skipped_stale", "dead_letter"])


class ProcessedMessagePage(BaseModel):
    """Processed messages, newest first."""

    items: list[ProcessedMessageView]
    next_cursor: str | None = Field(description=NEXT)


def _processed_messages(request: Request) -> ProcessedMessages:
    return cast(ProcessedMessages, request.app.state.processed_messages)


ProcessedMessagesDep = Annotated[ProcessedMessages, Depends(_processed_messages)]
Reader = Annotated[Principal, Depends(RequireRole(Role.OPERATOR, Role.SERVICE))]


@router.get("/processed-messages", summary="List processed messages, newest first", responses=RESPONSES)
async def list_processed_messages(
    caller: Reader,
    messages: ProcessedMessagesDep,
    event_id: Text | None = None,
    subject: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(pattern=cursors.TEXT_PATTERN, description="`next_cursor` of the page before.")
    ] = None,
) -> ProcessedMessagePage:
    """What the service is done with, and the outcome; `subject` is what the event is about, such as the order's id."""
    before = cursors.decode_text(cursor) if cursor is not None else None
    found = await messages.page(event_id=event_id, subject=subject, before=before, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode_text(shown[-1].processed_at, shown[-1].event_id) if len(found) > limit else None
    items = [ProcessedMessageView.model_validate(row, from_attributes=True) for row in shown]
    return ProcessedMessagePage(items=items, next_cursor=more)
