"""What an operator is told about an outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class State(StrEnum):
    """How far an event is."""

    RECORDED = "recorded"
    SENT = "sent"
    PUBLISHED = "published"
    HELD = "held"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, counted up to a bound; beyond it there may be more."""

    value: int
    at_least: bool

    @classmethod
    def up_to(cls, bound: int, counted: int) -> Count:
        """A count that was cut off at `bound`."""
        return cls(counted, counted >= bound)


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody stopped the outbox."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay and how far it is; `progress` goes from 0 to 1."""

    id: int
    requested_at: datetime
    requested_by: str
    reason: str
    criteria: Mapping[str, str]
    replayed: int
    progress: float
    finished_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str | None


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The outbox as a whole; `oldest_pending_seconds` is None when nothing waits."""

    pending: Count
    unconfirmed: Count
    oldest_pending_seconds: float | None
    held_groups: Count
    relays: int
    paused: Pause | None
    replay: Replay | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane and whose it is; an owner that is not alive has lost it to whoever claims it next."""

    lane: int
    owner: UUID | None
    owner_alive: bool
    token: int


@dataclass(frozen=True, slots=True)
class RelayState:
    """A relay of this outbox."""

    relay_id: UUID
    started_at: datetime
    heartbeat_at: datetime
    alive: bool
    silent_seconds: float
    lease_seconds: float
    lanes: int


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is not published yet."""

    event_id: UUID
    sequence: int
    type: str
    state: State
    recorded_at: datetime
    sent_at: datetime | None
    held_at: datetime | None
    held_reason: str | None
    attempts: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """A group that waits for a person, and why; `cause` is the event for which it is held, if it is one.

    It has no head when an operator holds it and nothing of it was recorded since.
    """

    subject: str
    lane: int
    head: UUID | None
    head_sequence: int | None
    head_type: str | None
    cause: UUID | None
    reason: str
    since: datetime
    behind: Count
    releasing: bool


@dataclass(frozen=True, slots=True)
class GroupState:
    """What of a group is not published yet, by sequence; `published_to` is the last number when nothing waits."""

    subject: str
    lane: int
    owner: UUID | None
    held: HeldGroup | None
    events: tuple[WaitingEvent, ...]
    published_to: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what, and why."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str
    subject: str | None
    event_id: UUID | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventLife:
    """All that is known of one event but its payload, which may be personal."""

    event_id: UUID
    source: str
    subject: str
    sequence: int
    type: str
    state: State
    lane: int
    owner: UUID | None
    recorded_at: datetime
    first_sent_at: datetime | None
    sent_at: datetime | None
    first_published_at: datetime | None
    published_at: datetime | None
    held_at: datetime | None
    discarded_at: datetime | None
    held_reason: str | None
    attempts: int
    republished: int
    last_error: str | None
    broker_message_id: str | None
    correlation_id: str | None
    causation_id: str | None
    size: int
    attributes: Mapping[str, str]
    audit: tuple[AuditEntry, ...]
