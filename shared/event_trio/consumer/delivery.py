"""A delivery from the queue, and how a delivery is deferred."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import ClassVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..broker.source import Message
from ..error_text import describe
from ..inbox import unfinished_attempts
from ..inbox.claim import claim, look
from ..inbox.deferred import insert_row
from ..inbox.delivery import DecodedMessage, Delivery
from ..inbox.states import BLOCKED, ClaimResult, DeferredState, InboxOutcome, Status
from .errors import is_database_failure

log = structlog.get_logger(__name__)

POSSIBLY_POISONOUS_FROM = 3
"""The receive count from which on a message is possibly poisonous. One redelivery has many harmless causes, two are
rare."""


@dataclass(slots=True, eq=False, kw_only=True)
class QueueDelivery(Delivery):
    """A message that was received from the queue. Its outcome is one transaction with a new inbox row.

    Times are monotonic seconds.
    """

    is_recorded: ClassVar[bool] = False

    message: Message
    received_at: float
    visible_at: float
    """When the broker delivers the message again, unless its visibility is extended."""
    database_failures: int = 0
    """How often the database failed while it was handled."""
    attempt_recorded: bool = False
    """Whether a committed row of `started_message` says that its handler was started."""
    isolated: bool = False
    """Whether an attempt was left unfinished, so that it may run only while nothing else does."""
    task: asyncio.Task[None] | None = None
    """The task that runs it now."""

    @classmethod
    def of(
        cls, message: Message, consumer: str, *, received_at: float = 0.0, visible_at: float = float("inf")
    ) -> QueueDelivery:
        """The delivery of a message. A message without a group, of a standard queue, is a group of its own."""
        group = message.group or message.message_id
        return cls(
            consumer=consumer,
            message_id=message.message_id,
            group=group,
            event=DecodedMessage(id=message.message_id, group=group),
            # Text that is no UTF-8 is kept escaped.
            body=message.body.encode("utf-8", "backslashreplace"),
            attributes=message.attributes,
            message=message,
            received_at=received_at,
            visible_at=visible_at,
        )

    @property
    def possibly_poisonous(self) -> bool:
        """Whether it was delivered so often that it may be what ends the process. Its start is recorded then."""
        return self.message.receive_count >= POSSIBLY_POISONOUS_FROM

    @property
    def is_claimed_by_its_row(self) -> bool:
        """The unfinished attempts of a message that may be poisonous are removed with its claim."""
        return not self.possibly_poisonous

    def accept(self, event: DecodedMessage) -> None:
        """Keep what was decoded. Where the queue names no group, the decoder may."""
        self.group = self.message.group or event.group or self.message_id
        self.event = event if event.group == self.group else replace(event, group=self.group)

    def forget_decoded(self) -> None:
        """Forget what was decoded: its key is SQS's id again, and its group that of the queue."""
        self.group = self.message.group or self.message_id
        self.event = DecodedMessage(id=self.message_id, group=self.group)

    def renew(self, message: Message, visible_at: float) -> None:
        """Take the receipt handle of a message that was received again: only the newest is valid.

        The receive count stays, for the process that holds the message has not ended.
        """
        self.message = replace(message, receive_count=self.message.receive_count)
        self.visible_at = visible_at

    def is_expired(self, now: float) -> bool:
        """Whether the broker may have delivered it again."""
        return now >= self.visible_at

    async def look(self, session: AsyncSession) -> ClaimResult:
        """What `claim` would answer now. It decides nothing."""
        return await look(session, self)

    async def claim(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Insert the inbox row; a blocked message is deferred in the same transaction."""
        result = await claim(session, self, new=new, stale=stale)
        if result is ClaimResult.BLOCKED:
            await insert_row(session, self, BLOCKED)
        await self._forget_attempts(session)
        return result

    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Insert the inbox row and the deferred row."""
        outcome = state.outcome
        result = await claim(session, self, new=outcome, stale=outcome, may_block=state.status is not Status.DEAD)
        if result is not ClaimResult.DUPLICATE:
            await insert_row(session, self, state)
        await self._forget_attempts(session)
        return result

    async def _forget_attempts(self, session: AsyncSession) -> None:
        if self.possibly_poisonous:
            await unfinished_attempts.clear(session, self.consumer, self.event.id)


async def commit_deferred(
    sessions: async_sessionmaker[AsyncSession], delivery: Delivery, state: DeferredState
) -> ClaimResult:
    """Defer a delivery in a transaction of its own.

    If the database rejects the metadata of a new event, for instance a subject that is too long for its index, the
    event is deferred without them; and if it rejects the key as well, under SQS's id of the message.
    """
    try:
        return await _commit(sessions, delivery, state)
    except Exception as raised:
        if is_database_failure(raised) or delivery.is_recorded:
            raise
        _log_stripped(raised)
        delivery.event = delivery.event.without_metadata()
    try:
        return await _commit(sessions, delivery, state)
    except Exception as raised:
        if is_database_failure(raised) or delivery.event.id == delivery.message_id:
            raise
        _log_stripped(raised)
        delivery.forget_decoded()
    return await _commit(sessions, delivery, state)


async def _commit(sessions: async_sessionmaker[AsyncSession], delivery: Delivery, state: DeferredState) -> ClaimResult:
    async with sessions.begin() as session:
        return await delivery.defer(session, state)


def _log_stripped(raised: Exception) -> None:
    log.warning(
        "deferred without the event's metadata",
        action="consumer.stored_without_metadata",
        error=describe(raised),
    )
