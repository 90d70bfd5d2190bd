"""All SQL of the notification service, except that of the inbox and the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from event_trio.consumer import Writes
from event_trio.inbox.connections import InboxConnections
from event_trio.outbox import numbered_row
from event_trio.outbox.numbered_row import insert_with_sequence
from event_trio.outbox.writer import EventRow

from .domain import Notification, NotificationId, NotificationStatus, OrderId, Recipient
from .tables import NotificationRow, OrderRecipientRow

Position = tuple[datetime, UUID]

RECIPIENT = """
-- recipient: the recipient of an order
SELECT order_id, customer_id, recipient, locale FROM order_recipient WHERE order_id = $1
"""

NOTIFICATION_COLUMNS = (
    *("order_id", "id", "event_id", "event_type", "channel", "recipient", "locale", "subject", "body", "status"),
    *("created_at", "sent_at"),
)
# The parameters of a notification come first, then those of its event, then those of a recipient that is saved.
NOTIFICATION = f"""
INSERT INTO notification ({", ".join(NOTIFICATION_COLUMNS)})
SELECT {", ".join(f"${number}" for number in range(1, len(NOTIFICATION_COLUMNS) + 1))} FROM claimed
"""  # noqa: S608 - constants of this file
# If the recipient is unknown there is no sequence, and the event cannot be inserted: nothing is written then.
EVENT = insert_with_sequence(
    "counted.last_sequence", "claimed LEFT JOIN counted ON true", first=len(NOTIFICATION_COLUMNS) + 1
)
CUSTOMER, LOCALE = (f"${len(NOTIFICATION_COLUMNS) + number}" for number in (7, 8))
# Both return the sequence of this service's next event about the order. The row stays locked until the transaction
# ends, so that sequences are in commit order.
SAVED = f"""
INSERT INTO order_recipient (order_id, customer_id, recipient, locale, last_sequence, updated_at)
SELECT $1, {CUSTOMER}, $6, {LOCALE}, 1, clock_timestamp() FROM claimed
ON CONFLICT (order_id) DO UPDATE
SET recipient = excluded.recipient, locale = excluded.locale,
    last_sequence = order_recipient.last_sequence + 1, updated_at = excluded.updated_at
RETURNING last_sequence
"""  # noqa: S608 - constants of this file
COUNTED = """
UPDATE order_recipient SET last_sequence = last_sequence + 1 FROM claimed WHERE order_id = $1 RETURNING last_sequence
"""


def notification_writes(notification: Notification, recipient: Recipient, event: EventRow, *, saves: bool) -> Writes:
    """A notification and the event about it, whose sequence the statement assigns; `saves` the recipient as well.

    Unless it saves the recipient, it fails if the recipient is not in the database.
    """
    arguments = [*(getattr(notification, name) for name in NOTIFICATION_COLUMNS), *numbered_row.values(event)]
    if saves:
        arguments += [recipient.customer_id, recipient.locale]
    statements = {"counted": SAVED if saves else COUNTED, "notified": NOTIFICATION, "recorded": EVENT}
    return Writes(statements, *arguments)


class RecipientReader:
    """Reads recipients outside any transaction, in one round trip."""

    def __init__(self, connections: InboxConnections) -> None:
        self._connections = connections

    async def find(self, order_id: OrderId) -> Recipient | None:
        """The recipient of an order, if known."""
        found = await self._connections.fetch_row(RECIPIENT, order_id)
        return None if found is None else Recipient(OrderId(found[0]), found[1], found[2], found[3])


class NotificationRepository:
    """Recipients and notifications, within the caller's transaction. It never commits.

    `owner` restricts reads of notifications to one customer's orders; None does not restrict.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def recipient(self, order_id: OrderId) -> Recipient | None:
        """The recipient of an order, if known."""
        row = OrderRecipientRow
        statement = select(col(row.order_id), col(row.customer_id), col(row.recipient), col(row.locale))
        found = (await self._session.execute(statement.where(col(row.order_id) == order_id))).first()
        return Recipient(OrderId(found[0]), found[1], found[2], found[3]) if found else None

    async def save_recipient(self, recipient: Recipient) -> int:
        """Insert or update the recipient; returns the sequence of this service's next event about the order.

        The row stays locked until the transaction ends, so that sequences are in commit order.
        """
        added = upsert(OrderRecipientRow).values(
            order_id=recipient.order_id,
            customer_id=recipient.customer_id,
            recipient=recipient.address,
            locale=recipient.locale,
            last_sequence=1,
            updated_at=func.clock_timestamp(),
        )
        kept = added.on_conflict_do_update(
            index_elements=["order_id"],
            set_={
                "recipient": added.excluded.recipient,
                "locale": added.excluded.locale,
                "last_sequence": col(OrderRecipientRow.last_sequence) + 1,
                "updated_at": added.excluded.updated_at,
            },
        ).returning(col(OrderRecipientRow.last_sequence))
        sequence: int = (await self._session.execute(kept)).scalar_one()
        return sequence

    async def next_sequence(self, order_id: OrderId) -> int | None:
        """The sequence of this service's next event about the order, under the row's lock; None if it is unknown."""
        counted = (
            update(OrderRecipientRow)
            .where(col(OrderRecipientRow.order_id) == order_id)
            .values(last_sequence=col(OrderRecipientRow.last_sequence) + 1)
            .returning(col(OrderRecipientRow.last_sequence))
            .execution_options(synchronize_session=False)
        )
        return (await self._session.execute(counted)).scalar_one_or_none()

    async def add(self, notification: Notification) -> None:
        """Insert a notification."""
        await self._session.execute(
            insert(NotificationRow).values(
                id=notification.id,
                order_id=notification.order_id,
                event_id=notification.event_id,
                event_type=notification.event_type,
                channel=notification.channel,
                recipient=notification.recipient,
                locale=notification.locale,
                subject=notification.subject,
                body=notification.body,
                status=notification.status,
                created_at=notification.created_at,
                sent_at=notification.sent_at,
            )
        )

    async def find(self, id: NotificationId, owner: str | None) -> Notification | None:
        """One notification, if it exists."""
        found = await self._many(select(NotificationRow).where(col(NotificationRow.id) == id), owner)
        return found[0] if found else None

    async def page(
        self, *, owner: str | None, order_id: OrderId | None, after: Position | None, limit: int
    ) -> list[Notification]:
        """Notifications after a position, newest first."""
        place = (col(NotificationRow.created_at), col(NotificationRow.id))
        statement = select(NotificationRow).order_by(place[0].desc(), place[1].desc()).limit(limit)
        if order_id is not None:
            statement = statement.where(col(NotificationRow.order_id) == order_id)
        if after is not None:
            statement = statement.where(tuple_(*place) < tuple_(*after))
        return await self._many(statement, owner)

    async def _many(self, statement: Any, owner: str | None) -> list[Notification]:
        if owner is not None:
            statement = statement.join(
                OrderRecipientRow, col(OrderRecipientRow.order_id) == col(NotificationRow.order_id)
            ).where(col(OrderRecipientRow.customer_id) == owner)
        return [_notification(row) for row in (await self._session.execute(statement)).scalars()]


def _notification(row: NotificationRow) -> Notification:
    return Notification(
        id=NotificationId(row.id),
        order_id=OrderId(row.order_id),
        event_id=row.event_id,
        event_type=row.event_type,
        channel=row.channel,
        recipient=row.recipient,
        locale=row.locale,
        subject=row.subject,
        body=row.body,
        status=NotificationStatus(row.status),
        created_at=row.created_at,
        sent_at=row.sent_at,
    )
