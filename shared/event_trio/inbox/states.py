"""The states of an event in the inbox: what a claim finds, the outcome, and how it is deferred."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ClaimResult(StrEnum):
    """What an attempt to claim an event found."""

    NEW = "new"
    STALE = "stale"
    """An event of the same source and subject with a higher sequence has been handled."""
    DUPLICATE = "duplicate"
    """The event has been processed, whatever its outcome was."""
    BLOCKED = "blocked"
    """The event waits for an earlier one of its group that is deferred."""


class InboxOutcome(StrEnum):
    """The outcome of an event in its inbox row."""

    HANDLED = "handled"
    HANDLED_STALE = "handled_stale"
    SKIPPED_STALE = "skipped_stale"
    IGNORED = "ignored"
    FAILURE_PUBLISHED = "failure_published"
    DEFERRED = "deferred"
    DEAD_LETTER = "dead_letter"
    DISCARDED = "discarded"


class Status(StrEnum):
    """The status of a deferred message."""

    WAITING = "waiting"
    """It runs again when it is due."""
    BLOCKED = "blocked"
    """It waits for an earlier message of its group."""
    DEAD = "dead"
    """A dead letter: an operator must redrive or discard it."""


@dataclass(frozen=True, slots=True)
class DeferredState:
    """How a message is deferred. `reason` is a stable name, `error` describes this failure."""

    status: Status
    reason: str
    error: str
    attempts: int = 0
    due_in: float | None = None
    """Seconds until it runs again, if it waits."""
    blocks: bool = False
    """Whether later messages of its group wait behind it."""

    @property
    def outcome(self) -> InboxOutcome:
        """The outcome of its inbox row."""
        return InboxOutcome.DEAD_LETTER if self.status is Status.DEAD else InboxOutcome.DEFERRED


BLOCKED = DeferredState(Status.BLOCKED, "blocked", "its group waits for an earlier message", blocks=True)
