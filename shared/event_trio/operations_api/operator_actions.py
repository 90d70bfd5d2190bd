"""Routes that list operators' actions on messages, and the current state of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from ..inbox.operator_actions import About, OperatorActions
from ..inbox.states import Status
from .parameters import LIST, NEXT, Cursor, Limit, Reader, Text

router = APIRouter(prefix="/v1", tags=["operator actions"])

MOST = 100


async def _actions(request: Request) -> OperatorActions:
    return cast(OperatorActions, request.app.state.operator_actions)


OperatorActionsDep = Annotated[OperatorActions, Depends(_actions)]


class OperatorActionView(BaseModel):
    """An operator's action on one message."""

    id: int
    done_at: datetime
    actor: str
    action: str = Field(description="A stable name of the action.", examples=["redrive", "discard"])
    reason: str = Field(description="The operator's reason.")
    event_id: str
    message_group: str
    type: str | None
    attempts: int = Field(description="Failed attempts of the handler before the action.")


class OperatorActionPage(BaseModel):
    """Actions, newest first."""

    items: list[OperatorActionView]
    next_cursor: str | None = Field(description=NEXT)


class MessageStateView(BaseModel):
    """The current state of a message."""

    event_id: str
    state: str = Field(
        description="`waiting` (until it is due, or blocked), `dead`, or the outcome in the inbox.",
        examples=["handled"],
    )
    attempts: int = Field(description="Failed attempts since the last redrive; 0 when it is not deferred any more.")
    error: str | None = Field(description="The last error, while it is deferred or dead.")


class MessageStateList(BaseModel):
    """One entry for each known message; unknown ones are omitted."""

    items: list[MessageStateView]


@router.get("/operator-actions", summary="List operators' actions on messages, newest first", responses=LIST)
async def list_operator_actions(
    caller: Reader,
    actions: OperatorActionsDep,
    event_id: Text | None = None,
    group: Text | None = None,
    actor: Text | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> OperatorActionPage:
    """Who redrove or discarded which message, when and why. Actions are kept after their message is gone."""
    found = await actions.page(About(event_id, group, actor), before=cursor, limit=limit + 1)
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    items = [OperatorActionView.model_validate(row, from_attributes=True) for row in shown]
    return OperatorActionPage(items=items, next_cursor=more)


@router.get("/message-states", summary="Read the current state of messages", responses=LIST)
async def read_message_states(
    caller: Reader, actions: OperatorActionsDep, event_id: Annotated[list[Text], Query(min_length=1, max_length=MOST)]
) -> MessageStateList:
    """Shows, for example, whether a redriven message was handled or is dead again."""
    rows = await actions.states(event_id)
    return MessageStateList(
        items=[
            MessageStateView(
                event_id=row.event_id,
                state=_state(row.status, row.outcome),
                attempts=row.attempts or 0,
                error=row.error,
            )
            for row in rows
        ]
    )


def _state(status: str | None, outcome: str) -> str:
    if status is None:
        return outcome
    return "dead" if status == Status.DEAD else "waiting"
