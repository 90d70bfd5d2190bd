"""The routes with which operators resolve dead letters, the same for every service that consumes."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..idempotency.attempt import Answer
from ..inbox.dead_letters import MOST, By, DeadLetterNotFound, DeadLetters, Rows, Selection
from .authorization import Require
from .body import Body, Integer
from .idempotency import IN_USE, REUSED, RepeatableOf, answer_with
from .openapi import problems
from .problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from .tokens import Principal, Role

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

LIST = problems(INVALID_REQUEST, UNAVAILABLE)
CHANGE = problems(INVALID_REQUEST, REUSED, IN_USE, UNAVAILABLE)
FIND = problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)

# Postgres has no place for U+0000 in a text.
PRINTABLE = r"^[^\x00]+$"
Text = Annotated[str, Query(max_length=2048, pattern=PRINTABLE)]
Words = Annotated[str, Field(min_length=1, max_length=2048, pattern=PRINTABLE)]
# The largest integer that every reader of JSON keeps as it is (RFC 8259, section 6).
EXACT = 2**53 - 1
NEXT = "Give it as `cursor` for what follows; null at the end."


def _dead_letters(request: Request) -> DeadLetters:
    return cast(DeadLetters, request.app.state.dead_letters)


DeadLettersOf = Annotated[DeadLetters, Depends(_dead_letters)]
Reader = Annotated[Principal, Depends(Require(Role.OPERATOR, Role.SERVICE))]
Operator = Annotated[Principal, Depends(Require(Role.OPERATOR))]


class DeadLetterView(BaseModel):
    """An event that could not be handled, and why."""

    id: int
    consumer: str
    event_id: str
    message_id: str
    message_group: str
    source: str | None
    subject: str | None
    sequence: int | None
    type: str | None
    reason: str = Field(description="A stable name.", examples=["unreadable", "unknown_type", "rejected", "failed"])
    error: str | None = Field(description="What happened.")
    attempts: int = Field(description="Failed attempts of the handler.")
    blocks: bool = Field(description="Whether later events of its group wait until it is resolved.")
    deferred_at: datetime = Field(description="When it was put aside.")


class DeadLetterPage(BaseModel):
    """Dead letters, newest first."""

    items: list[DeadLetterView]
    next_cursor: str | None = Field(description=NEXT)


class ActionView(BaseModel):
    """What an operator did about a message."""

    action: Literal["redrive", "discard"]
    reason: str
    actor: str
    done_at: datetime


class DeadLetterDetails(DeadLetterView):
    """A dead letter with all that is known of it."""

    envelope: str = Field(description="The body as it came; it may hold personal data.")
    attributes: dict[str, str]
    actions: list[ActionView]


class Change(Body):
    """Which dead letters are meant, and why: one by its event id, those of a filter, or `all`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "order.placed", "failure": "failed", "reason": "the carrier is back"}]}
    )

    event_id: Words | None = None
    type: Words | None = None
    group: Words | None = None
    failure: Words | None = Field(None, description="Only those with this `reason`.")
    all: bool = Field(False, description="Needed when nothing restricts.")
    reason: Words = Field(description="Why; kept with each of them.")
    limit: Integer = Field(MOST, ge=1, le=MOST, description="How many at the most; the oldest first.")
    cursor: Integer | None = Field(
        None, ge=1, le=EXACT, description="`next_cursor` of the call before, so that what fails again waits."
    )
    dry_run: bool = Field(False, description="Only say which they are.")

    @model_validator(mode="after")
    def _is_meant(self) -> Change:
        if not self.all and not any((self.event_id, self.type, self.group, self.failure)):
            raise ValueError("say which: event_id, type, group or failure, or all")
        return self

    @property
    def selection(self) -> Selection:
        return Selection(self.event_id, self.type, self.group, self.failure, self.cursor)


class Redrive(Change):
    """Let them run again."""

    per_second: float | None = Field(None, gt=0, le=1000, description="How many are started each second.")


class ChangedView(BaseModel):
    """One that was (or, in a dry run, would be) changed."""

    event_id: str
    message_group: str
    type: str | None


class ChangedList(BaseModel):
    """What was changed, the oldest first."""

    dry_run: bool
    items: list[ChangedView]
    next_cursor: str | None = Field(description=NEXT)


@router.get("", summary="List dead letters, newest first", responses=LIST)
async def list_dead_letters(
    caller: Reader,
    letters: DeadLettersOf,
    type: Text | None = None,
    group: Text | None = None,
    reason: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_cursor` of the page before.")] = None,
) -> DeadLetterPage:
    """Events that could not be handled, with the reason."""
    found = await letters.page(Selection(None, type, group, reason), before=cursor, limit=limit + 1)
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    return DeadLetterPage(
        items=[DeadLetterView.model_validate(row, from_attributes=True) for row in shown], next_cursor=more
    )


@router.get("/{event_id}", summary="Read a dead letter", responses=FIND)
async def read_dead_letter(
    event_id: Annotated[str, Path(max_length=200, pattern=PRINTABLE)], caller: Operator, letters: DeadLettersOf
) -> DeadLetterDetails:
    """With its envelope, and what operators did about it."""
    try:
        row, actions = await letters.show(event_id)
    except DeadLetterNotFound as error:
        raise HttpProblem(NOT_FOUND, str(error)) from None
    facts: dict[str, Any] = {name: getattr(row, name) for name in DeadLetterView.model_fields}
    return DeadLetterDetails(
        **facts,
        envelope=row.envelope.decode(errors="replace"),
        attributes=row.attributes,
        actions=[ActionView.model_validate(action, from_attributes=True) for action in actions],
    )


@router.post("/redrive", summary="Let dead letters run again", responses=CHANGE, response_model=ChangedList)
async def redrive_dead_letters(
    body: Redrive, caller: Operator, letters: DeadLettersOf, repeatable: RepeatableOf
) -> ChangedList | Response:
    """In the order of their groups, through the same handlers."""
    if body.dry_run:
        return _changed(True, await letters.oldest(body.selection, limit=body.limit))
    by = By(caller.subject, body.reason)
    redrive = partial(letters.redrive, body.selection, by, per_second=body.per_second, limit=body.limit)
    return await repeatable.respond(caller, lambda once: redrive(once=once), _answer)


@router.post("/discard", summary="Give dead letters up", responses=CHANGE, response_model=ChangedList)
async def discard_dead_letters(
    body: Change, caller: Operator, letters: DeadLettersOf, repeatable: RepeatableOf
) -> ChangedList | Response:
    """They are never handled; what waits behind one goes on."""
    if body.dry_run:
        return _changed(True, await letters.oldest(body.selection, limit=body.limit))
    discard = partial(letters.discard, body.selection, By(caller.subject, body.reason), limit=body.limit)
    return await repeatable.respond(caller, lambda once: discard(once=once), _answer)


def _answer(rows: Rows) -> Answer:
    return answer_with(_changed(False, rows))


def _changed(dry_run: bool, rows: Rows) -> ChangedList:
    items = [ChangedView.model_validate(row, from_attributes=True) for row in rows]
    # Others may change dead letters meanwhile: fewer than asked for does not mean that there are no more.
    return ChangedList(dry_run=dry_run, items=items, next_cursor=str(rows[-1].id) if rows else None)
