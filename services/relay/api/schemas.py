"""What goes in and out of the relay's REST face."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from event_trio.http.body import RequestBody, Uuid
from event_trio.http.timestamp import Timestamp

from ..operators.replays import Criteria
from ..operators.views import State
from .dependencies import SUBJECT

ReasonText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=500, strip_whitespace=True)]


class Reason(RequestBody):
    """Why; the audit keeps it."""

    reason: ReasonText = Field(examples=["the customer was told by telephone"])


class DiscardRequest(Reason):
    """Why an event is discarded, and what becomes of the events behind it."""

    keep_held: bool = Field(False, description="Keep the rest of the group held, rather than let it go.")


class ReplayRequest(RequestBody):
    """Which of the events that were sent go again: those that fit everything that is given."""

    event_id: Uuid | None = None
    subject: str | None = Field(None, pattern=SUBJECT, description="The group.")
    type: Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,2048}$")] | None = Field(
        None, description="The type; several are parted by commas.", examples=["order.placed,order.cancelled"]
    )
    since: Timestamp | None = Field(None, description="Recorded then or later.")
    until: Timestamp | None = Field(None, description="Recorded before then.")
    everything: bool = Field(False, description="Everything that was sent; needed when nothing else is given.")
    dry_run: bool = Field(True, description="Only count; nothing is changed.")
    reason: ReasonText | None = Field(None, description="Why; needed unless it is a dry run.")

    @model_validator(mode="after")
    def _is_meant(self) -> ReplayRequest:
        if self.everything == (self.criteria() != Criteria()):
            raise ValueError("say which events, or `everything`, and not both")
        if not self.dry_run and self.reason is None:
            raise ValueError("say why (`reason`), unless it is a dry run")
        return self

    def criteria(self) -> Criteria:
        """What the replay takes."""
        return Criteria(self.event_id, self.subject, self.type, self.since, self.until)


class View(BaseModel):
    """An answer, made from what the relay found."""

    model_config = ConfigDict(from_attributes=True)


class CountView(View):
    """How many, counted up to a bound."""

    value: int
    at_least: bool = Field(description="There may be more: counting stopped at a bound.")


class PauseView(View):
    """Somebody stopped the outbox."""

    at: datetime
    by: str
    reason: str


class ReplayView(View):
    """A replay and how far it is."""

    id: int
    requested_at: datetime
    requested_by: str
    reason: str
    criteria: dict[str, str]
    replayed: int = Field(description="How many events went back to their lanes so far.")
    progress: float = Field(ge=0, le=1)
    finished_at: datetime | None = Field(description="When it was done, or cancelled.")
    cancelled_at: datetime | None
    cancelled_by: str | None


class ReplayAnswer(BaseModel):
    """What a replay would do, or the replay that was asked for."""

    dry_run: bool
    events: int = Field(description="How many events are chosen as things stand.")
    at_least: bool = Field(
        False,
        description="Given when counting stopped at a bound: there may be more.",
        exclude_if=lambda value: not value,
    )
    replay: int | None = Field(description="Its number: `GET /v1/outbox/replays/{id}` says how far it is.")


class CancelAnswer(BaseModel):
    """A replay was cancelled; what went back to its lanes before goes all the same."""

    replay: int
    replayed: int = Field(description="How many events had gone back to their lanes.")


class StatusView(View):
    """The outbox as a whole."""

    pending: CountView = Field(
        description="Recorded and not sent, among the oldest 10,000 not published; held events are not counted."
    )
    unconfirmed: CountView = Field(description="Sent, and not seen on the publish check, among the same.")
    oldest_pending_seconds: float | None = Field(description="Age of the oldest of those that are not sent.")
    held_groups: CountView
    relays: int = Field(description="Relays that are alive.")
    paused: PauseView | None
    replay: ReplayView | None = Field(
        description="The unfinished replay whose turn it is; nothing new of the groups that it concerns is sent then."
    )


class LaneView(View):
    """A lane and whose it is."""

    lane: int
    owner: UUID | None
    owner_alive: bool
    token: int


class RelayView(View):
    """A relay of this outbox."""

    relay_id: UUID
    started_at: datetime
    heartbeat_at: datetime
    alive: bool = Field(description="Whether its lease holds; when it does not, its lanes are others' to take.")
    silent_seconds: float = Field(description="Since its last heartbeat, by the database's clock.")
    lease_seconds: float = Field(description="After so many seconds of silence its lanes are taken over.")
    lanes: int


class LanesView(BaseModel):
    """Who works on what."""

    relays: list[RelayView]
    lanes: list[LaneView]


class HeldGroupView(View):
    """A group that waits for a person."""

    subject: str
    lane: int
    head: UUID | None = Field(description="Its first held event; null when it is held and nothing of it came yet.")
    head_sequence: int | None
    head_type: str | None
    cause: UUID | None = Field(description="The event for which it is held.")
    reason: str
    since: datetime
    behind: CountView = Field(description="Events behind the first.")
    releasing: bool = Field(description="An operator let it go, and a relay is about it.")


class HeldGroupPage(BaseModel):
    """Held groups by subject."""

    items: list[HeldGroupView]
    next_cursor: str | None


class WaitingEventView(View):
    """An event that is not published yet."""

    event_id: UUID
    sequence: int
    type: str
    state: State
    recorded_at: datetime
    sent_at: datetime | None
    held_at: datetime | None
    held_reason: str | None
    attempts: int = Field(description="Failed attempts to send it; the one that succeeds is not counted.")
    last_error: str | None


class GroupView(View):
    """What of a group is not published yet, by sequence, up to a bound."""

    subject: str
    lane: int
    owner: UUID | None
    held: HeldGroupView | None
    events: list[WaitingEventView] = Field(description="Empty when all of it is published.")
    published_to: int | None = Field(description="When nothing waits: the number of the last event that is published.")


class AuditEntryView(View):
    """Who changed what, and why."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str
    subject: str | None
    event_id: UUID | None
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Changes, newest first."""

    items: list[AuditEntryView]
    next_cursor: str | None


class EventView(View):
    """All that is known of an event but its payload."""

    event_id: UUID
    source: str
    subject: str
    sequence: int
    type: str
    state: State
    lane: int
    owner: UUID | None = Field(description="The relay that has its lane.")
    recorded_at: datetime
    first_sent_at: datetime | None = Field(description="When the broker first accepted it.")
    sent_at: datetime | None = Field(description="When it last did; null while it is to go again.")
    first_published_at: datetime | None = Field(description="When it was first seen to arrive in a queue.")
    published_at: datetime | None = Field(description="When it last was; null while it is to go again.")
    held_at: datetime | None
    discarded_at: datetime | None
    held_reason: str | None
    attempts: int = Field(description="Failed attempts to send it; the one that succeeds is not counted.")
    republished: int
    last_error: str | None
    broker_message_id: str | None
    correlation_id: str | None
    causation_id: str | None
    size: int = Field(description="Bytes that count against the broker's limit.")
    attributes: dict[str, str]
    audit: list[AuditEntryView]


class HoldAnswer(BaseModel):
    """A message group is held, and with it what is still to come of it."""

    subject: str
    events: int = Field(
        description="How many of its events were held at once, perhaps none; a relay follows up with the rest."
    )
    settles_in_seconds: float = Field(description="For so long, what a relay has in hand may still go.")


class ReleaseAnswer(BaseModel):
    """A group is to be let go; a relay does it in steps."""

    subject: str
    releasing: bool


class DiscardAnswer(BaseModel):
    """An event was discarded."""

    event_id: UUID
    subject: str
    released: bool = Field(description="Whether what is behind it in its group may go.")


class PausedAnswer(BaseModel):
    """Whether the outbox is paused now."""

    paused: bool


class AcceptedAnswer(BaseModel):
    """A new broker is known now."""

    broker: str = Field(description="When its publish-check queue was created, in seconds since 1970.")
