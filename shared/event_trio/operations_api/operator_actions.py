"""The routes that tell what operators did about messages, and what came of it; the same for every consumer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from ..http.authorization import RequireRole
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, UNAVAILABLE
from ..http.tokens import Principal, Role
from ..inbox.deferred import Status
from ..inbox.operator_actions import About, OperatorActions

router = APIRouter(prefix="/v1", tags=["operator actions"])

LIST = problems(INVALID_REQUEST, UNAVAILABLE)
# Postgres has no place for U+0000 in a text.
Text = Annotated[str, Query(max_length=2048, pattern=r"^[^\x00]+$")]
MOST = 100


def _actions(request: Request) -> OperatorActions:
    return cast(OperatorActions, request.app.state.operator_actions)


OperatorActionsDep = Annotated[OperatorActions, Depends(_actions)]
Reader = Annotated[Principal, Depends(RequireRole(Role.OPERATOR, Role.SERVICE))]


class OperatorActionView(BaseModel):
    """Something that an operator did about one message."""

    id: int
    done_at: datetime
    actor: str
    action: str = Field(description="A stable name.", examples=["redrive", "discard"])
    reason: str = Field(description="Why, in the operator's words.")
    event_id: str
    message_group: str
    type: str | None
    attempts: int = Field(description="Failed attempts of the handler before it.")


class OperatorActionPage(BaseModel):
    """Actions, newest first."""

    items: list[OperatorActionView]
    next_cursor: str | None = Field(description="Give it as `cursor` for what follows; null at the end.")


class MessageStateView(BaseModel):
    """What has become of a message."""

    event_id: str
    state: str = Field(
        description="`waiting` (for its turn or behind another), `dead`, or how it ended: its inbox outcome.",
        examples=["handled"],
    )
    attempts: int = Field(description="Failed attempts since it was last let go; 0 when it is put aside no more.")
    error: str | None = Field(description="The last error, while it is put aside.")


class MessageStateList(BaseModel):
    """One for each message that is known; others are left out."""

    items: list[MessageStateView]


@router.get("/operator-actions", summary="List what operators did about messages, newest first", responses=LIST)
async def list_operator_actions(
    caller: Reader,
    actions: OperatorActionsDep,
    event_id: Text | None = None,
    group: Text | None = None,
    actor: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_cursor` of the page before.")] = None,
) -> OperatorActionPage:
    """Who redrove or discarded which message, when and why; kept when the message is gone."""
    found = await actions.page(About(event_id, group, actor), before=cursor, limit=limit + 1)
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    items = [OperatorActionView.model_validate(row, from_attributes=True) for row in shown]
    return OperatorActionPage(items=items, next_cursor=more)


@router.get("/message-states", summary="Say what has become of messages", responses=LIST)
async def read_message_states(
    caller: Reader, actions: OperatorActionsDep, event_id: Annotated[list[Text], Query(min_length=1, max_length=MOST)]
) -> MessageStateList:
    """Whether what was redriven was handled, or is dead again."""
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
