"""One event on its way to an end, wherever it comes from: out of the queue, or out of what was put aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from ...envelope import Envelope
from ...inbox.deferred import DeferredState
from ...inbox.guard import ClaimResult, Identity, InboxOutcome


class Entry(Protocol):
    """How an event is ended in the inbox. Nothing in it commits."""

    @property
    def identity(self) -> Identity: ...

    @property
    def body(self) -> bytes: ...

    @property
    def attributes(self) -> Mapping[str, str]: ...

    async def look(self, session: AsyncSession) -> ClaimResult:
        """How it stands right now; decides nothing."""
        ...

    async def begin(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """First in the transaction of what is done about it; with SETTLED or BLOCKED nothing more may be done."""
        ...

    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Let it wait, or make it a dead letter; SETTLED means that it was ended in the meantime."""
        ...


@dataclass(slots=True)
class Effort:
    """What was spent on an event. Times are seconds."""

    failures: int = 0
    """Failed attempts of the handler; an outage of the database is none."""
    spent: float | None = 0.0
    """What the failed attempts and the waits after them took; None for a message that cannot be kept in flight."""


@dataclass(slots=True)
class Work:
    """An event, how it is ended, and what was spent on it."""

    entry: Entry
    envelope: Envelope
    effort: Effort = field(default_factory=Effort)

    @property
    def identity(self) -> Identity:
        """What the inbox keeps of it."""
        return self.entry.identity
