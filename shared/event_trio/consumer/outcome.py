"""The outcomes of a delivery, as one sum type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Handled:
    """The handler's writes and the inbox row are committed."""

    stale: bool

    @property
    def name(self) -> str:
        return "handled_stale" if self.stale else "handled"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The event had been processed before; nothing was done."""

    name = "duplicate"


@dataclass(frozen=True, slots=True)
class Skipped:
    """The event was stale, and its handler wants only the latest state; only the inbox row is committed."""

    name = "skipped_stale"


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event was not handled, by its policy; only the inbox row is committed."""

    reason: str
    error: str

    name = "ignored"


@dataclass(frozen=True, slots=True)
class FailurePublished:
    """The handler failed, and an event that says so was recorded in one transaction with the inbox row."""

    reason: str
    error: str

    name = "failure_published"


@dataclass(frozen=True, slots=True)
class Deferred:
    """The message is deferred: it runs again after so many seconds; with None, after the earlier ones of its group."""

    after: float | None
    error: str

    name = "deferred"


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The event will not be handled; the dead letter and the inbox row are committed."""

    reason: str
    error: str

    name = "dead_letter"


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The handler failed. It runs again after so many seconds, and its group waits for it."""

    after: float
    error: str

    name = "retry_scheduled"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The database failed, which is not counted as an attempt.

    If it failed as a `whole`, the event runs again when the database accepts a write. Otherwise only this transaction
    conflicted with others or met a limit, and the event's group runs again a little later.
    """

    error: str
    whole: bool = True

    name = "unavailable"


@dataclass(frozen=True, slots=True)
class NeedsIsolation:
    """The event has not run: a process ended while it was handled, so it must run while nothing else does."""


Completed: TypeAlias = Handled | Duplicate | Skipped | Ignored | FailurePublished | Deferred | DeadLettered
Outcome: TypeAlias = Completed | RetryScheduled | Unavailable
