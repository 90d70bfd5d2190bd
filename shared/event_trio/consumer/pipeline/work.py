"""One event on its way to an end, wherever it comes from: out of the queue, or out of what was put aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from ...envelope import Envelope
from ...inbox.deferred import Aside
from ...inbox.guard import Identity, InboxOutcome, Standing


class Entry(Protocol):
    """How an event is ended in the inbox. Nothing in it commits."""

    @property
    def identity(self) -> Identity: ...

    @property
    def body(self) -> bytes: ...

    @property
    def attributes(self) -> Mapping[str, str]: ...

    async def look(self, session: AsyncSession) -> Standing:
        """How it stands right now; decides nothing."""
        ...

    async def begin(self, session: AsyncSession, *, fresh: InboxOutcome, stale: InboxOutcome) -> Standing:
        """First in the transaction of what is done about it; with SETTLED or BEHIND nothing more may be done."""
        ...

    async def put_aside(self, session: AsyncSession, aside: Aside) -> Standing:
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
