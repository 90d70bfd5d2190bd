"""What became of a delivery: every way it can end, as one sum type."""

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
    """It had been processed before: nothing was done."""

    name = "duplicate"


@dataclass(frozen=True, slots=True)
class Skipped:
    """It was stale, and its handler wants only the latest state: the inbox row alone is committed."""

    name = "skipped_stale"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Its handler failed, and its policy is to leave it at that: the inbox row alone is committed."""

    reason: str
    error: str

    name = "ignored"


@dataclass(frozen=True, slots=True)
class FailurePublished:
    """Its handler failed; that it did is recorded as an event, in one transaction with the inbox row."""

    reason: str
    error: str

    name = "failure_published"


@dataclass(frozen=True, slots=True)
class Deferred:
    """It is put aside, to run again after so many seconds (or, with None, after those of its group before it)."""

    after: float | None
    error: str

    name = "deferred"


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """It will not be handled: the dead letter and the inbox row are committed."""

    reason: str
    error: str

    name = "dead_letter"


@dataclass(frozen=True, slots=True)
class Retry:
    """The handler failed; it runs again after so many seconds, and its group waits for it."""

    after: float
    error: str

    name = "retry_scheduled"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The database failed: nobody's attempt. It runs again when the database is back, if that failed as a `whole`;
    otherwise this transaction alone lost, to others or to a limit, and its group runs again a little later.
    """

    error: str
    whole: bool = True

    name = "unavailable"


@dataclass(frozen=True, slots=True)
class NeedsIsolation:
    """It has not run: a process died over it, so it is to run while nothing else does."""


Done: TypeAlias = Handled | Duplicate | Skipped | Ignored | FailurePublished | Deferred | DeadLettered
Outcome: TypeAlias = Done | Retry | Unavailable
