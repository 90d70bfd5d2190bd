"""What operators see of an outbox: the models that queries return and the API answers with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class EventState(StrEnum):
    """The state of an event."""

    RECORDED = "recorded"
    SENT = "sent"
    PUBLISHED = "published"
    HELD = "held"
    DISCARDED = "discarded"


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class CountView(View):
    """A number, counted up to a bound."""

    value: int
    at_least: bool = Field(description="Counting stopped at a bound; the real number may be higher.")

    @classmethod
    def up_to(cls, bound: int, counted: int) -> CountView:
        """A count that stopped at `bound`."""
        return cls(value=counted, at_least=counted >= bound)


class PauseView(View):
    """A pause of the outbox by an operator."""

    at: datetime
    by: str
    reason: str


class ReplayView(View):
    """A replay and its progress."""

    id: int
    requested_at: datetime
    requested_by: str
    reason: str
    criteria: dict[str, str]
    replayed: int = Field(description="Events marked as unsent so far.")
    progress: float = Field(ge=0, le=1)
    finished_at: datetime | None = Field(description="When the replay finished or was cancelled.")
    cancelled_at: datetime | None
    cancelled_by: str | None


class StatusView(View):
    """The state of the outbox."""

    database_time: datetime = Field(description="The time by the database's clock.")
    pending: CountView = Field(
        description="Unsent events among the oldest 10,000 not published; held events are not counted."
    )
    unconfirmed: CountView = Field(
        description="Sent events not yet seen on the publish check, among the oldest 10,000 not published."
    )
    oldest_pending_seconds: float | None = Field(
        description="Age of the oldest unsent event; null if there is none among them."
    )
    held_groups: CountView
    relays: int = Field(description="Relays whose lease is valid.")
    paused: PauseView | None
    replay: ReplayView | None = Field(
        description="The oldest unfinished replay; meanwhile no new events of the groups it concerns are sent."
    )


class LaneView(View):
    """A lane (shard) and its owner."""

    lane: int
    owner: UUID | None
    owner_alive: bool = Field(description="Whether the owner's lease is valid; if not, any relay may claim the lane.")
    token: int = Field(description="Increases with every change of the owner.")


class RelayView(View):
    """A relay of this outbox."""

    relay_id: UUID
    started_at: datetime
    heartbeat_at: datetime
    alive: bool = Field(description="Whether its lease is valid; if not, other relays may claim its lanes.")
    silent_seconds: float = Field(description="Seconds since its last heartbeat, by the database's clock.")
    lease_seconds: float = Field(description="After this many seconds without a heartbeat the lease expires.")
    lanes: int = Field(description="Lanes that it owns.")


class WaitingEventView(View):
    """An event that is not published yet."""

    event_id: UUID
    sequence: int
    type: str
    state: EventState
    recorded_at: datetime
    sent_at: datetime | None
    held_at: datetime | None
    held_reason: str | None = Field(description="Why it is held; null if it is held only behind another event.")
    held_behind: UUID | None = Field(description="The held event behind which it is held.")
    attempts: int = Field(description="Failed attempts to send it; a successful attempt is not counted.")
    last_error: str | None


class HeldGroupView(View):
    """A message group that is held until an operator decides."""

    subject: str
    lane: int
    head: UUID | None = Field(description="Its first held event; null if the group is held and has no waiting event.")
    head_sequence: int | None
    head_type: str | None
    cause: UUID | None = Field(description="The event because of which the group is held.")
    reason: str
    since: datetime
    behind: CountView = Field(description="Events behind the first.")
    releasing: bool = Field(description="Whether an operator released the group and a relay is still releasing it.")


class GroupView(View):
    """The unpublished events of a group by sequence, up to a bound."""

    subject: str
    lane: int
    owner: UUID | None
    held: HeldGroupView | None
    events: tuple[WaitingEventView, ...] = Field(description="Empty if all events of the group are published.")
    published_to: int | None = Field(
        None, description="The sequence number of the last published event, if no event waits."
    )


class AuditEntryView(View):
    """A change by an operator or by a relay, and the reason for it."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str
    subject: str | None
    event_id: UUID | None
    details: dict[str, Any]


class OutboxEventView(View):
    """Everything known about an event except its payload, which may be personal data."""

    event_id: UUID
    source: str
    subject: str
    sequence: int
    type: str
    state: EventState
    lane: int
    owner: UUID | None = Field(description="The relay that owns its lane.")
    recorded_at: datetime
    first_sent_at: datetime | None = Field(description="When the broker first accepted it.")
    sent_at: datetime | None = Field(description="When the broker last accepted it; null while it is to be sent again.")
    first_published_at: datetime | None = Field(description="When it was first seen on the publish check.")
    published_at: datetime | None = Field(
        description="When it was last seen on the publish check; null while it is to be sent again."
    )
    held_at: datetime | None
    discarded_at: datetime | None
    held_reason: str | None = Field(description="Why it is held; null if it is held only behind another event.")
    held_behind: UUID | None = Field(description="The held event behind which it is held.")
    attempts: int = Field(description="Failed attempts to send it; a successful attempt is not counted.")
    republished: int = Field(description="How often it was marked as unsent, to be sent again.")
    last_error: str | None
    broker_message_id: str | None
    correlation_id: str | None
    causation_id: str | None
    size: int = Field(description="Bytes that count against the broker's limit.")
    attributes: dict[str, str]
    audit: tuple[AuditEntryView, ...]
