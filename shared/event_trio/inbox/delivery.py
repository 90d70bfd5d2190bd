"""A message in this process: what a decoder read from it, and how its inbox row is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from ..envelope import Envelope
from .states import ClaimResult, DeferredState, InboxOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedMessage:
    """What a decoder reads from a message. Only `id` is required: it is the key of the inbox."""

    id: str
    group: str | None = None
    """Its message group, where the queue names none."""
    type: str | None = None
    version: int = 1
    """The major version of the payload."""
    source: str | None = None
    subject: str | None = None
    sequence: int | None = None
    """Its place among the events of its source and subject. Without it an event is never stale."""
    time: datetime | None = None
    correlation_id: str | None = None
    data: dict[str, Any] | None = None
    """The payload, not validated yet; None if the publisher keeps it elsewhere."""
    envelope: Envelope | None = None
    """The CloudEvents envelope, if it came in one."""

    def without_metadata(self) -> DecodedMessage:
        """The same with nothing but its key and group: for a database that rejects the rest."""
        return DecodedMessage(id=self.id, group=self.group)


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery(ABC):
    """One delivery of a message, until its outcome is committed. Nothing in it commits.

    It comes from the queue (`QueueDelivery`) or from a row of `deferred_message` (`DeferredMessage`).
    """

    is_recorded: ClassVar[bool]
    """Whether its inbox row exists already."""

    consumer: str
    message_id: str
    """SQS's id of the message."""
    group: str
    event: DecodedMessage
    """Until the message is decoded, only its key and group."""
    body: bytes
    attributes: Mapping[str, str]
    failures: int = 0
    """Failed attempts of its handler. A failure of the database or of a dependency is not counted as an attempt."""
    spent: float = 0.0
    """Seconds that the failed attempts and the waits after them took."""
    stays_in_flight: bool = False
    """Whether it may wait for its next attempt in flight; otherwise it is deferred."""

    @property
    def spent_in_flight(self) -> float | None:
        """Seconds spent, or None if it may not wait in flight."""
        return self.spent if self.stays_in_flight else None

    @property
    def is_claimed_by_its_row(self) -> bool:
        """Whether `claim` inserts an inbox row and does nothing else, unless the event is processed or blocked."""
        return False

    def accept(self, event: DecodedMessage) -> None:
        """Keep what was decoded."""
        self.event = replace(event, group=self.group)

    def forget_decoded(self) -> None:
        """Forget what was decoded; its key is SQS's id of the message then."""
        self.event = DecodedMessage(id=self.message_id, group=self.group)

    @abstractmethod
    async def look(self, session: AsyncSession) -> ClaimResult:
        """What `claim` would answer now. It takes no lock and decides nothing."""

    @abstractmethod
    async def claim(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Write the inbox row with one of the two outcomes: first in the transaction of the handler's writes.

        After DUPLICATE and BLOCKED the handler must not run: the event was processed, or is deferred by this call.
        """

    @abstractmethod
    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Defer the message, or make it a dead letter. DUPLICATE means that it was processed in the meantime."""
