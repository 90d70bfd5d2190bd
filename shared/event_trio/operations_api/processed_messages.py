"""The route that lists the messages that a consumer has processed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from ..http import cursor as cursors
from ..inbox.reader import ProcessedMessages
from .parameters import LIST, NEXT, PREVIOUS_CURSOR, Limit, Reader, Text

router = APIRouter(prefix="/v1", tags=["messages"])


class ProcessedMessageView(BaseModel):
    """A row of the inbox. Of a message that is not an event only `message_id` is known."""

    consumer: str
    event_id: str
    message_id: str = Field(description="The broker's id of the message.")
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


async def _processed_messages(request: Request) -> ProcessedMessages:
    return cast(ProcessedMessages, request.app.state.processed_messages)


ProcessedMessagesDep = Annotated[ProcessedMessages, Depends(_processed_messages)]


@router.get("/processed-messages", summary="List processed messages, newest first", responses=LIST)
async def list_processed_messages(
    caller: Reader,
    messages: ProcessedMessagesDep,
    event_id: Text | None = None,
    subject: Text | None = None,
    limit: Limit = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.TEXT_PATTERN, description=PREVIOUS_CURSOR)] = None,
) -> ProcessedMessagePage:
    """Each with its outcome. `subject` is what the event is about, such as the order's id."""
    before = cursors.decode_text(cursor) if cursor is not None else None
    found = await messages.page(event_id=event_id, subject=subject, before=before, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode_text(shown[-1].processed_at, shown[-1].event_id) if len(found) > limit else None
    items = [ProcessedMessageView.model_validate(row, from_attributes=True) for row in shown]
    return ProcessedMessagePage(items=items, next_cursor=more)
