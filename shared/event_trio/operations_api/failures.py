"""The route that groups dead letters and deferred messages which failed alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ..inbox.failures import LOOKED_AT, MessageFailures
from ..inbox.selection import DEAD, PENDING
from .parameters import LIST, NEXT, Cursor, Limit, Reader, Text
from .processed_messages import MessageCountView

router = APIRouter(prefix="/v1/failures", tags=["messages"])


async def _failures(request: Request) -> MessageFailures:
    return cast(MessageFailures, request.app.state.failures)


FailuresDep = Annotated[MessageFailures, Depends(_failures)]


class FailureView(BaseModel):
    """Messages that failed alike, with the error of the newest."""

    model_config = ConfigDict(from_attributes=True)

    fingerprint: str = Field(description="Of type, reason and error; words with digits are left out of the error.")
    type: str | None
    reason: str = Field(description="A stable name of the reason.")
    error: str | None = Field(description="The last error of the newest message.")
    event_id: str = Field(description="The newest message.")
    messages: int
    message_groups: int
    first_at: datetime = Field(description="When the first of them was deferred.")
    last_at: datetime = Field(description="When the last of them was deferred.")


class FailurePage(BaseModel):
    """Failures, the one with the newest message first."""

    items: list[FailureView]
    messages: MessageCountView = Field(description=f"The messages that were grouped: the newest {LOOKED_AT:,} at most.")
    next_cursor: str | None = Field(description=NEXT)


@router.get("", summary="List failures of messages, grouped", responses=LIST)
async def list_failures(
    caller: Reader,
    failures: FailuresDep,
    status: Annotated[
        Literal["dead", "pending"], Query(description="`dead`: dead letters. `pending`: deferred messages.")
    ] = "dead",
    fingerprint: Annotated[Text | None, Query(description="Only this group.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> FailurePage:
    """Dead letters or deferred messages that have the same type, reason and kind of error, with counts and times."""
    statuses = DEAD if status == "dead" else PENDING
    found = await failures.page(statuses, fingerprint=fingerprint, before=cursor, limit=limit + 1)
    shown = found.failures[:limit]
    return FailurePage(
        items=[FailureView.model_validate(row) for row in shown],
        messages=MessageCountView(value=found.looked_at, at_least=found.looked_at >= LOOKED_AT),
        next_cursor=str(shown[-1].last_id) if len(found.failures) > limit else None,
    )
