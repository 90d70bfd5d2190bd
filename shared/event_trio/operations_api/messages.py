"""The views and request bodies that dead letters and deferred messages have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..http.body import Integer, RequestBody, whole
from ..http.idempotency import response_of
from ..http.problems import HttpProblem
from ..http.timestamp import Timestamp
from ..idempotency.keyed_request import StoredResponse
from ..inbox.deferred_messages import MessageBlocked
from ..inbox.redrives import SLOWEST
from ..inbox.resolution import MessageBusy
from ..inbox.selection import MOST, Rows, Selection
from .parameters import BLOCKED, BUSY, LARGEST_EXACT_INTEGER, NEXT, BodyText, ReasonText, Text

SINCE = "Only messages deferred at this time or later."
UNTIL = "Only messages deferred before this time."
Rate = Annotated[float, Field(ge=SLOWEST, le=1000, description="At most this many per second.")]


class MessageView(BaseModel):
    """A deferred message or dead letter, and the reason for it."""

    id: int
    consumer: str
    event_id: str
    message_id: str
    message_group: str
    source: str | None
    subject: str | None
    sequence: int | None
    type: str | None
    reason: str = Field(
        description="A stable name of the reason.", examples=["unreadable", "unknown_type", "rejected", "failed"]
    )
    fingerprint: str = Field(description="The same for messages that failed alike.")
    error: str | None = Field(description="The last error.")
    attempts: int = Field(description="Failed attempts of the handler.")
    blocks: bool = Field(description="Whether later events of its group wait until it is resolved.")
    deferred_at: datetime = Field(description="When it was deferred.")


class ActionView(BaseModel):
    """An operator's action on the message."""

    action: Literal["redrive", "discard", "run_now", "reveal"]
    reason: str
    actor: str
    done_at: datetime


class MessageDetails(BaseModel):
    """The fields that only a request for one message returns."""

    envelope: str = Field(description="The message body as received; masked values are replaced.")
    masked: list[str] = Field(
        description="The fields of `data` that are masked because they may be personal data; `*` if all of the message "
        "is, because it is no event of the expected form."
    )
    attributes: dict[str, str]
    actions: list[ActionView]


View = TypeVar("View", bound=MessageView)


class MessageSelectionRequest(RequestBody):
    """Which messages to change, and why: one by its event id, those that match a filter, or `all`."""

    event_id: BodyText | None = None
    type: BodyText | None = None
    group: BodyText | None = None
    failure: BodyText | None = Field(None, description="Only messages with this `reason`.")
    fingerprint: BodyText | None = Field(None, description="Only messages that failed alike.")
    since: Timestamp | None = Field(None, description=SINCE)
    until: Timestamp | None = Field(None, description=UNTIL)
    all: bool = Field(False, description="Required when no other field restricts the selection.")
    reason: ReasonText = Field(description="Why; recorded with each message.")
    dry_run: bool = Field(False, description="Only tell which messages would be changed.")

    @model_validator(mode="after")
    def _restricts(self) -> Self:
        criteria = (self.event_id, self.type, self.group, self.failure, self.fingerprint, self.since, self.until)
        if not self.all and not any(criteria):
            raise ValueError(
                "give at least one of event_id, type, group, failure, fingerprint, since and until, or all"
            )
        return self

    @property
    def selection(self) -> Selection:
        return Selection(
            self.event_id,
            self.type,
            self.group,
            self.failure,
            since=self.since,
            until=self.until,
            fingerprint=self.fingerprint,
        )


class MessageChangeRequest(MessageSelectionRequest):
    """Which messages to change at once, and why: one by its event id, those that match a filter, or `all`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "order.placed", "failure": "failed", "reason": "the carrier is back"}]}
    )

    limit: Integer = Field(
        MOST, ge=1, le=MOST, description="At most this many, oldest first, in transactions of at most 50."
    )
    cursor: Annotated[int, Field(ge=1, le=LARGEST_EXACT_INTEGER), BeforeValidator(whole)] | None = Field(
        None, description="`next_cursor` of the previous call, so that messages that fail again are not repeated."
    )

    @property
    def selection(self) -> Selection:
        return replace(super().selection, after=self.cursor)


class ChangedMessageView(BaseModel):
    """A message that was changed, or would be in a dry run."""

    event_id: str
    message_group: str
    type: str | None


class ChangedMessageList(BaseModel):
    """The changed messages, oldest first."""

    dry_run: bool
    items: list[ChangedMessageView]
    next_cursor: str | None = Field(description=NEXT)


async def _selection(
    event_id: Text | None = None,
    type: Text | None = None,
    group: Text | None = None,
    reason: Text | None = None,
    fingerprint: Annotated[Text | None, Query(description="Only messages that failed alike.")] = None,
    since: Annotated[Timestamp | None, Query(description=SINCE)] = None,
    until: Annotated[Timestamp | None, Query(description=UNTIL)] = None,
) -> Selection:
    return Selection(event_id, type, group, reason, since=since, until=until, fingerprint=fingerprint)


SelectionDep = Annotated[Selection, Depends(_selection)]


def paged(view: type[View], rows: Rows, limit: int) -> tuple[list[View], str | None]:
    """A page and the cursor of the next one, from one row more than the page holds."""
    shown = rows[:limit]
    following = str(shown[-1].id) if len(rows) > limit else None
    return [view.model_validate(row, from_attributes=True) for row in shown], following


def detailed(view: type[MessageView], row: Any, actions: Rows, envelope: str, masked: Sequence[str]) -> dict[str, Any]:
    """The fields of this view, and those of `MessageDetails`."""
    return {
        **{name: getattr(row, name) for name in view.model_fields},
        "envelope": envelope,
        "masked": masked,
        "attributes": row.attributes,
        "actions": [ActionView.model_validate(action, from_attributes=True) for action in actions],
    }


def changed(rows: Rows, *, dry_run: bool = False) -> ChangedMessageList:
    """The view of the messages that were changed, or would be."""
    items = [ChangedMessageView.model_validate(row, from_attributes=True) for row in rows]
    # Others may change messages concurrently: fewer than `limit` does not mean that there are no more.
    return ChangedMessageList(dry_run=dry_run, items=items, next_cursor=str(rows[-1].id) if rows else None)


def response(rows: Rows) -> StoredResponse:
    """The response to a change, as it is stored under the request's key."""
    return response_of(changed(rows))


@contextmanager
def conflicts_as_problems() -> Iterator[None]:
    """Raise problems for the reasons why a message cannot be changed now."""
    try:
        yield
    except MessageBusy as error:
        raise HttpProblem(BUSY, str(error), headers={"Retry-After": "1"}) from None
    except MessageBlocked as error:
        first = {"event_id": error.event_id, "status": error.status}
        raise HttpProblem(BLOCKED, str(error), blocked_by=first) from None
