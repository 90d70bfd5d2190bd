"""The use cases: notify customers of events, and read notifications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.clock import Clock
from event_trio.consumer import Writes
from event_trio.consumer.event import Event
from event_trio.contracts.notifications import NotificationEvent, NotificationFailed, NotificationSent
from event_trio.contracts.orders import OrderEvent, OrderPlaced
from event_trio.envelope import uuid7
from event_trio.inbox.connections import InboxConnections
from event_trio.observability import conventions, spans
from event_trio.outbox.writer import OutboxWriter

from .domain import (
    MessageText,
    Notification,
    NotificationId,
    NotificationNotFound,
    NotificationStatus,
    OrderId,
    OutboundMessage,
    Recipient,
    UnknownRecipient,
)
from .rendering import Templates
from .repository import NotificationRepository, Position, RecipientReader, notification_writes
from .senders.sender import Sender

log = structlog.get_logger(__name__)

E = TypeVar("E", bound=OrderEvent)

FIRST_SEQUENCE = 1
"""Replaced by the database, which assigns the sequence of an event about an order."""


@dataclass(frozen=True, slots=True)
class SentNotification:
    """A message that a sender accepted."""

    recipient: Recipient
    text: MessageText
    sent_at: datetime


class CustomerNotifier:
    """Notifies customers. `send` runs outside any transaction; what it `writes` commits with the inbox row."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        templates: Templates,
        sender: Sender,
        writer: OutboxWriter,
        clock: Clock,
        connections: InboxConnections | None = None,
    ) -> None:
        """`connections` are the consumer's; without them each read takes a connection from the pool of `sessions`."""
        self._recipients = RecipientReader(connections or InboxConnections(sessions))
        self._templates = templates
        self._sender = sender
        self._writer = writer
        self._clock = clock

    async def send(self, event: Event[E]) -> SentNotification:
        """Send the message.

        Raises UnknownRecipient, RenderingFailed, SendFailed, SendRejected or SenderUnavailable.
        """
        recipient = await self._recipient(event.payload, self._recipients.find)
        text = self._templates.render(event.payload, recipient.locale)
        message = OutboundMessage(key=event.envelope.id, address=recipient.address, text=text)
        channel = self._sender.channel
        with spans.client(f"{conventions.SEND} {channel}", {conventions.CHANNEL: channel}):
            await self._sender.send(message)
        return SentNotification(recipient, text, self._clock.now())

    def writes(self, event: Event[E], sent: SentNotification) -> Writes:
        """The notification, the order's recipient if the event has it, and the event `notification.sent`."""
        notification = self._notification(event, sent.recipient, sent.text, sent.sent_at)
        published = self._writer.prepare(
            NotificationSent(**self._fields(event, notification)),
            subject=str(notification.order_id),
            sequence=FIRST_SEQUENCE,
            correlation_id=event.envelope.correlationid,
            causation_id=str(event.id),
            traceparent=event.envelope.traceparent,
        )
        log.info(
            "customer notified",
            action="notification.sent",
            notification_id=str(notification.id),
            order_id=str(notification.order_id),
            channel=notification.channel,
            stale=event.stale,
        )
        return notification_writes(
            notification, sent.recipient, published, saves=isinstance(event.payload, OrderPlaced)
        )

    async def record_failure(self, session: AsyncSession, event: Event[E], reason: str) -> None:
        """Record that the customer could not be notified, and publish `notification.failed`, so that others compensate.

        Raises UnknownRecipient.
        """
        recipient = await self._recipient(event.payload, NotificationRepository(session).recipient)
        text = self._templates.render(event.payload, recipient.locale)
        notification = self._notification(event, recipient, text, None)
        fields = self._fields(event, notification)
        await self._record(session, event, recipient, notification, NotificationFailed(**fields, reason=reason))
        log.warning(
            "customer could not be notified",
            action="notification.failed",
            notification_id=str(notification.id),
            order_id=str(notification.order_id),
            channel=notification.channel,
            reason=reason,
        )

    async def _record(
        self,
        session: AsyncSession,
        event: Event[E],
        recipient: Recipient,
        notification: Notification,
        published: NotificationEvent,
    ) -> None:
        repository = NotificationRepository(session)
        if isinstance(event.payload, OrderPlaced):
            sequence: int | None = await repository.save_recipient(recipient)
        else:
            sequence = await repository.next_sequence(recipient.order_id)
        if sequence is None:
            raise UnknownRecipient
        await repository.add(notification)
        await self._writer.record(
            session,
            published,
            subject=str(recipient.order_id),
            sequence=sequence,
            correlation_id=event.envelope.correlationid,
            causation_id=str(event.id),
            traceparent=event.envelope.traceparent,
        )

    @staticmethod
    def _fields(event: Event[E], notification: Notification) -> dict[str, Any]:
        return {
            "notification_id": notification.id,
            "order_id": notification.order_id,
            "channel": notification.channel,
            "cause_event_id": event.id,
            "cause_type": event.envelope.type,
        }

    @staticmethod
    async def _recipient(payload: OrderEvent, find: Callable[[OrderId], Awaitable[Recipient | None]]) -> Recipient:
        order_id = OrderId(payload.order_id)
        if isinstance(payload, OrderPlaced):
            return Recipient(order_id, payload.customer_id, payload.recipient, payload.locale)
        known = await find(order_id)
        if known is None:
            raise UnknownRecipient
        return known

    def _notification(
        self, event: Event[E], recipient: Recipient, text: MessageText, sent_at: datetime | None
    ) -> Notification:
        return Notification(
            id=NotificationId(uuid7()),
            order_id=recipient.order_id,
            event_id=event.envelope.id,
            event_type=event.envelope.type,
            channel=self._sender.channel,
            recipient=recipient.address,
            locale=text.locale,
            subject=text.subject,
            body=text.body,
            status=NotificationStatus.FAILED if sent_at is None else NotificationStatus.SENT,
            created_at=self._clock.now(),
            sent_at=sent_at,
        )


class NotificationQueries:
    """Reads notifications.

    `owner` is the customer whose notifications the caller may see, or None for all; those of others are not found.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def notification(self, id: NotificationId, *, owner: str | None) -> Notification:
        """One notification; raises NotificationNotFound."""
        async with self._sessions() as session:
            found = await NotificationRepository(session).find(id, owner)
        if found is None:
            raise NotificationNotFound
        return found

    async def notifications(
        self, *, owner: str | None, order_id: OrderId | None, after: Position | None, limit: int
    ) -> Sequence[Notification]:
        """Notifications, newest first, after a position."""
        async with self._sessions() as session:
            return await NotificationRepository(session).page(owner=owner, order_id=order_id, after=after, limit=limit)
