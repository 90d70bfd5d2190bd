"""Routes for what came in: which messages were processed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from shared.http import cursor as cursors
from shared.http.openapi import problems
from shared.http.problems import INVALID_REQUEST, UNAVAILABLE

from ..schemas import ProcessedMessagePage, ProcessedMessageView
from .dependencies import NEXT, Limit, Operator, RecordsOf

router = APIRouter(prefix="/v1", tags=["messages"])

RESPONSES = problems(INVALID_REQUEST, UNAVAILABLE)
# Postgres has no place for U+0000 in a text.
Text = Annotated[str, Query(max_length=2048, pattern=r"^[^\x00]+$")]


@router.get("/processed-messages", summary="List processed messages, newest first", responses=RESPONSES)
async def list_processed_messages(
    caller: Operator,
    records: RecordsOf,
    event_id: Text | None = None,
    subject: Text | None = None,
    limit: Limit = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.TEXT_PATTERN, description=NEXT)] = None,
) -> ProcessedMessagePage:
    """What the service is done with, and what became of it; `subject` is the order's id."""
    before = cursors.decode_text(cursor) if cursor is not None else None
    found = await records.processed(event_id=event_id, subject=subject, before=before, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode_text(shown[-1].processed_at, shown[-1].event_id) if len(found) > limit else None
    items = [ProcessedMessageView.model_validate(row, from_attributes=True) for row in shown]
    return ProcessedMessagePage(items=items, next_cursor=more)
