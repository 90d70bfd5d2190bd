"""The requests and answers of the relay's REST API."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from event_trio.http.body import RequestBody, Uuid
from event_trio.http.reason import REASON_LINE
from event_trio.http.timestamp import Timestamp
from event_trio.operations_api.topology import QueueView, TopicView

from ..jobs.replay_requests import Criteria
from ..operators.views import AuditEntryView, HeldGroupView, LaneView, RelayView
from ..settings import OutboxSource
from ..wal.source_state import SourceState
from .dependencies import SUBJECT

ReasonText = Annotated[str, StringConstraints(pattern=REASON_LINE, max_length=500, strip_whitespace=True)]


class OperatorReason(RequestBody):
    """A reason, which is stored in the audit."""

    reason: ReasonText = Field(examples=["the customer was informed by telephone"])


class DiscardRequest(OperatorReason):
    """Why an event is discarded, and whether the events behind it stay held."""

    keep_held: bool = Field(False, description="Keep the other events of the group held instead of releasing them.")


class ReplayRequest(RequestBody):
    """Which sent events are replayed: those that match all given criteria."""

    event_id: Uuid | None = None
    subject: str | None = Field(None, pattern=SUBJECT, description="The group.")
    type: Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,2048}$")] | None = Field(
        None, description="The type; several types are separated by commas.", examples=["order.placed,order.cancelled"]
    )
    since: Timestamp | None = Field(None, description="Recorded at this time or later.")
    until: Timestamp | None = Field(None, description="Recorded before this time.")
    everything: bool = Field(False, description="Every sent event; required if no other criterion is given.")
    dry_run: bool = Field(True, description="Only count; nothing is changed.")
    reason: ReasonText | None = Field(None, description="The reason; required unless it is a dry run.")

    @model_validator(mode="after")
    def _is_meant(self) -> ReplayRequest:
        if self.everything == (self.criteria() != Criteria()):
            raise ValueError("give criteria or `everything`, not both")
        if not self.dry_run and self.reason is None:
            raise ValueError("`reason` is required unless it is a dry run")
        return self

    def criteria(self) -> Criteria:
        """Return the criteria of the replay."""
        return Criteria(self.event_id, self.subject, self.type, self.since, self.until)


class ReplayAnswer(BaseModel):
    """What a replay would do, or the replay that was requested."""

    dry_run: bool
    events: int = Field(description="How many events are currently chosen.")
    at_least: bool = Field(
        False,
        description="Present if counting stopped at a bound; the real number may be higher.",
        exclude_if=lambda value: not value,
    )
    replay: int | None = Field(description="Its number; `GET /v1/outbox/replays/{id}` shows the progress.")


class CancelAnswer(BaseModel):
    """A cancelled replay. Events already marked as unsent are sent again."""

    replay: int
    replayed: int = Field(description="How many events had been marked as unsent.")


class LanesView(BaseModel):
    """Relays and lanes."""

    relays: list[RelayView]
    lanes: list[LaneView]


class SourceView(BaseModel):
    """Where this relay learns that there are events to send."""

    source: OutboxSource
    slot: str | None = Field(description="The replication slot; null with `table`.")
    state: SourceState | None = Field(
        description="Null with `table`. Unless it is `streaming` or `standby`, the table is polled as with `table`."
    )
    detail: str | None = Field(description="What keeps the relay from reading the log, if anything does.")
    pressure: str | None = Field(description="How much log the slot keeps, if that is much or near its limit.")
    kept_bytes: int | None = Field(description="Write-ahead log that the server keeps for the slot.")
    unconfirmed_bytes: int | None = Field(description="The part of it behind the confirmed position.")
    safe_bytes: int | None = Field(
        description="How much more may be written before the server gives the slot up; null without a limit."
    )
    failover: bool | None = Field(description="Whether standbys get a copy of the slot; null before Postgres 17.")


class RelayTopologyView(BaseModel):
    """The topic of the outbox and its publish check."""

    topic: TopicView
    publish_check: QueueView


class HeldGroupPage(BaseModel):
    """Held groups by subject."""

    items: list[HeldGroupView]
    next_cursor: str | None


class AuditPage(BaseModel):
    """Audit entries, newest first."""

    items: list[AuditEntryView]
    next_cursor: str | None


class HoldAnswer(BaseModel):
    """A message group is held, including its later events."""

    subject: str
    events: int = Field(
        description="How many of its events were held at once, possibly none; a relay holds the others."
    )
    settles_in_seconds: float = Field(
        description="For this long, events that a relay has already read may still be sent."
    )


class ReleaseAnswer(BaseModel):
    """A group is being released; a relay does so in steps."""

    subject: str
    releasing: bool


class DiscardAnswer(BaseModel):
    """An event was discarded."""

    event_id: UUID
    subject: str
    released: bool = Field(description="Whether the events behind it were released.")


class PausedAnswer(BaseModel):
    """Whether the outbox is paused."""

    paused: bool


class AcceptedAnswer(BaseModel):
    """The new broker was accepted."""

    broker: str = Field(description="When its publish-check queue was created, in seconds since 1970.")
