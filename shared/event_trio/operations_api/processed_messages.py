"""The routes about the inbox: the messages that a consumer has processed, and the inbox as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Row

from ..http import cursor as cursors
from ..inbox.reader import COUNTED, DEFERRED, OVERDUE_SECONDS, ProcessedMessages
from .parameters import LIST, NEXT, PREVIOUS_CURSOR, STATE, Limit, Reader, Text

router = APIRouter(prefix="/v1", tags=["messages"])


class DeferredPartView(BaseModel):
    """That a message runs later, or is a dead letter, and the reason."""

    status: Literal["waiting", "blocked", "dead"]
    message_group: str
    reason: str = Field(description="A stable name of the reason.")
    error: str | None = Field(description="The last error.")
    attempts: int = Field(description="Failed attempts of the handler since it was deferred or redriven.")
    blocks: bool = Field(description="Whether later events of its group wait until it is resolved.")
    deferred_at: datetime
    due_at: datetime | None = Field(description="When it runs again; null unless it is `waiting`.")
    taken_until: datetime | None = Field(description="It is being handled now if this time is in the future.")


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
    deferred: DeferredPartView | None = Field(description="Null unless it is deferred or a dead letter.")


class ProcessedMessagePage(BaseModel):
    """Processed messages, newest first."""

    items: list[ProcessedMessageView]
    next_cursor: str | None = Field(description=NEXT)


class MessageCountView(BaseModel):
    """A number, counted up to a bound."""

    value: int
    at_least: bool = Field(description="Counting stopped at a bound; the real number may be higher.")


class OverdueView(BaseModel):
    """The deferred message that is overdue for the longest time."""

    event_id: str
    message_group: str
    due_at: datetime
    behind: str | None = Field(description="The earlier event of its group that blocks it, if there is one.")


class InboxView(BaseModel):
    """The inbox as a whole."""

    database_time: datetime = Field(description="The time by the database's clock.")
    waiting: MessageCountView = Field(description="Deferred messages that run again when they are due.")
    blocked: MessageCountView = Field(description="Deferred messages that wait for an earlier one of their group.")
    dead: MessageCountView = Field(description="Dead letters.")
    oldest_dead_at: datetime | None
    overdue: MessageCountView = Field(
        description=f"Waiting messages that have been due for more than {OVERDUE_SECONDS:.0f} s."
    )
    first_overdue: OverdueView | None


async def processed_messages(request: Request) -> ProcessedMessages:
    """The reader that the application's state holds."""
    return cast(ProcessedMessages, request.app.state.processed_messages)


ProcessedMessagesDep = Annotated[ProcessedMessages, Depends(processed_messages)]


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
    items = [ProcessedMessageView(**fields_of(row)) for row in shown]
    return ProcessedMessagePage(items=items, next_cursor=more)


@router.get("/inbox", summary="Read the inbox's state", responses=STATE)
async def read_inbox(caller: Reader, messages: ProcessedMessagesDep) -> InboxView:
    """Deferred messages and dead letters by number, and the deferred message that is overdue for the longest time."""
    state = await messages.state()
    counts = {
        name: MessageCountView(value=value, at_least=value >= COUNTED)
        for name in ("waiting", "blocked", "dead", "overdue")
        for value in [getattr(state, name)]
    }
    first = state.first_overdue
    return InboxView(
        database_time=state.database_time,
        oldest_dead_at=state.oldest_dead_at,
        first_overdue=None if first is None else OverdueView.model_validate(first, from_attributes=True),
        **counts,
    )


def fields_of(row: Row[Any]) -> dict[str, Any]:
    """The fields of a `ProcessedMessageView`."""
    known = dict(row._mapping)
    deferred = {name: known.pop(f"deferred_{name}") for name in DEFERRED}
    return {**known, "deferred": None if deferred["status"] is None else DeferredPartView(**deferred)}
