"""What is the same over HTTP for all messages that were put aside: how they look, and how some of them are meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..http.authorization import RequireRole
from ..http.body import Integer, RequestBody, whole
from ..http.idempotency import IN_USE, REUSED, answer_with
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem, ProblemKind
from ..http.timestamp import Timestamp
from ..http.tokens import Principal, Role
from ..idempotency.keyed_request import StoredResponse
from ..inbox.deferred_messages import MessageBlocked
from ..inbox.resolution import MessageBusy
from ..inbox.selection import MOST, Rows, Selection

BUSY = ProblemKind("message-busy", "The message is being handled right now", 409, transient=True)
BLOCKED = ProblemKind("message-blocked", "The message waits for an earlier one of its group", 409)

LIST = problems(INVALID_REQUEST, UNAVAILABLE)
CHANGE = problems(INVALID_REQUEST, REUSED, IN_USE, BUSY, UNAVAILABLE)
FIND = problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)

# Postgres has no place for U+0000 in a text.
PRINTABLE = r"^[^\x00]+$"
Text = Annotated[str, Query(max_length=2048, pattern=PRINTABLE)]
Words = Annotated[str, Field(min_length=1, max_length=2048, pattern=PRINTABLE)]
EventId = Annotated[str, Path(max_length=200, pattern=PRINTABLE)]
# The largest integer that every reader of JSON keeps as it is (RFC 8259, section 6).
EXACT = 2**53 - 1
NEXT = "Give it as `cursor` for what follows; null at the end."
CURSOR = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_cursor` of the page before.")]
SINCE = "Only those put aside then or later."
UNTIL = "Only those put aside before then."

Reader = Annotated[Principal, Depends(RequireRole(Role.OPERATOR, Role.SERVICE))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]


class MessageView(BaseModel):
    """A message that was put aside, and why."""

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


class ActionView(BaseModel):
    """What an operator did about a message."""

    action: Literal["redrive", "discard", "run_now"]
    reason: str
    actor: str
    done_at: datetime


class Details(BaseModel):
    """What is read of a message only when it is asked for alone."""

    envelope: str = Field(description="The body as it came; it may hold personal data.")
    attributes: dict[str, str]
    actions: list[ActionView]


View = TypeVar("View", bound=MessageView)


class Change(RequestBody):
    """Which messages are meant, and why: one by its event id, those of a filter, or `all`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "order.placed", "failure": "failed", "reason": "the carrier is back"}]}
    )

    event_id: Words | None = None
    type: Words | None = None
    group: Words | None = None
    failure: Words | None = Field(None, description="Only those with this `reason`.")
    since: Timestamp | None = Field(None, description=SINCE)
    until: Timestamp | None = Field(None, description=UNTIL)
    all: bool = Field(False, description="Needed when nothing restricts.")
    reason: Words = Field(description="Why; kept with each of them.")
    limit: Integer = Field(
        MOST, ge=1, le=MOST, description="How many at the most; the oldest first, and in steps of at most 50."
    )
    cursor: Annotated[int, Field(ge=1, le=EXACT), BeforeValidator(whole)] | None = Field(
        None, description="`next_cursor` of the call before, so that what fails again waits."
    )
    dry_run: bool = Field(False, description="Only say which they are.")

    @model_validator(mode="after")
    def _is_meant(self) -> Change:
        if not self.all and not any((self.event_id, self.type, self.group, self.failure, self.since, self.until)):
            raise ValueError("say which: event_id, type, group, failure, since or until, or all")
        return self

    @property
    def selection(self) -> Selection:
        return Selection(
            self.event_id, self.type, self.group, self.failure, self.cursor, since=self.since, until=self.until
        )


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


def _filter(
    event_id: Text | None = None,
    type: Text | None = None,
    group: Text | None = None,
    reason: Text | None = None,
    since: Annotated[Timestamp | None, Query(description=SINCE)] = None,
    until: Annotated[Timestamp | None, Query(description=UNTIL)] = None,
) -> Selection:
    return Selection(event_id, type, group, reason, since=since, until=until)


SelectionDep = Annotated[Selection, Depends(_filter)]


def paged(view: type[View], rows: Rows, limit: int) -> tuple[list[View], str | None]:
    """A page and the cursor of the next one, from one row more than the page holds."""
    shown = rows[:limit]
    following = str(shown[-1].id) if len(rows) > limit else None
    return [view.model_validate(row, from_attributes=True) for row in shown], following


def detailed(view: type[MessageView], row: Any, actions: Rows) -> dict[str, Any]:
    """The fields of this view, and those of `Details`."""
    facts: dict[str, Any] = {name: getattr(row, name) for name in view.model_fields}
    told = [ActionView.model_validate(action, from_attributes=True) for action in actions]
    return {**facts, "envelope": row.envelope.decode(errors="replace"), "attributes": row.attributes, "actions": told}


def answer(rows: Rows) -> StoredResponse:
    """How it is told what was changed."""
    return answer_with(changed(False, rows))


def changed(dry_run: bool, rows: Rows) -> ChangedList:
    """What was, or would be, changed."""
    items = [ChangedView.model_validate(row, from_attributes=True) for row in rows]
    # Others may change messages meanwhile: fewer than asked for does not mean that there are no more.
    return ChangedList(dry_run=dry_run, items=items, next_cursor=str(rows[-1].id) if rows else None)


@contextmanager
def refusing() -> Iterator[None]:
    """Tell why the one message that was asked for cannot be changed."""
    try:
        yield
    except MessageBusy as error:
        raise HttpProblem(BUSY, str(error), headers={"Retry-After": "1"}) from None
    except MessageBlocked as error:
        first = {"event_id": error.event_id, "status": error.status}
        raise HttpProblem(BLOCKED, str(error), blocked_by=first) from None
