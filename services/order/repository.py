"""All SQL of the order service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from event_trio.contracts.orders import OrderEvent
from event_trio.envelope import Envelope
from event_trio.outbox.table import outbox_audit, outbox_event

from .domain import Order, OrderId, OrderLine, OrderState
from .money import in_minor_units
from .tables import OrderHistoryRow, OrderLineRow, OrderRow

Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """A filter of orders; None does not restrict. `placed_from` is inclusive, `placed_to` exclusive."""

    customer_id: str | None = None
    state: OrderState | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An order's event and its progress. Times are None after the outbox has pruned the event.

    A republished event has the times of its first and of its last publication; those of the last are None while it is
    being republished. `republished` counts them. `stale` means that it was last sent after a later event of its order.
    """

    id: UUID
    type: str
    sequence: int
    state: OrderState
    occurred_at: datetime
    correlation_id: str
    data: dict[str, Any]
    recorded_at: datetime | None
    first_sent_at: datetime | None
    sent_at: datetime | None
    first_published_at: datetime | None
    published_at: datetime | None
    held_at: datetime | None
    republished: int
    stale: bool
    discarded: bool = False

    @property
    def status(self) -> Literal["recorded", "sent", "published", "held", "discarded"]:
        """Only published events are pruned, so an event that the outbox does not contain was published or discarded."""
        if self.discarded:
            return "discarded"
        if self.recorded_at is None or self.published_at is not None:
            return "published"
        if self.held_at is not None:
            return "held"
        return "sent" if self.sent_at is not None else "recorded"


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order of which subscribers know events up to the sequence `known`."""

    id: OrderId
    version: int
    known: int

    @property
    def is_behind(self) -> bool:
        """Whether its next event would be a late one."""
        return self.version < self.known


class OrderRepository:
    """Orders and their history, within the caller's transaction. It never commits.

    `owner` restricts reads to one customer's orders; None does not restrict.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self, id: OrderId, owner: str | None) -> Order | None:
        """The order, locked until the transaction ends, so that changes of one order are serialized."""
        statement = select(OrderRow).where(col(OrderRow.id) == id).with_for_update()
        return await self._one(_owned(statement, owner))

    async def find(self, id: OrderId, owner: str | None) -> Order | None:
        """The order, if it exists."""
        return await self._one(_owned(select(OrderRow).where(col(OrderRow.id) == id), owner))

    async def save(self, order: Order) -> None:
        """Write the changeable fields of a locked order."""
        row = await self._session.get_one(OrderRow, order.id)
        row.state = order.state
        row.held_from = order.held_from
        row.version = order.version
        row.updated_at = order.updated_at
        await self._session.flush()

    async def add_history(self, order: Order, envelope: Envelope, payload: OrderEvent) -> None:
        """Insert the event with its payload, even if the published event has none, and the resulting state."""
        self._session.add(
            OrderHistoryRow(
                order_id=order.id,
                version=order.version,
                state=order.state,
                event_id=envelope.id,
                type=envelope.type,
                data=payload.model_dump(mode="json"),
                correlation_id=envelope.correlationid,
                occurred_at=envelope.time,
            )
        )
        await self._session.flush()

    async def page(self, filter: OrderFilter, *, owner: str | None, after: Position | None, limit: int) -> list[Order]:
        """Orders after a position, newest first; new orders do not shift the pages."""
        place = (col(OrderRow.placed_at), col(OrderRow.id))
        statement = select(OrderRow).order_by(place[0].desc(), place[1].desc()).limit(limit)
        if filter.customer_id is not None:
            statement = statement.where(col(OrderRow.customer_id) == filter.customer_id)
        if filter.state is not None:
            statement = statement.where(col(OrderRow.state) == filter.state)
        if filter.placed_from is not None:
            statement = statement.where(place[0] >= filter.placed_from)
        if filter.placed_to is not None:
            statement = statement.where(place[0] < filter.placed_to)
        if after is not None:
            statement = statement.where(tuple_(*place) < tuple_(*after))
        return await self._many(_owned(statement, owner))

    async def events(
        self, id: OrderId, *, after: int = 0, sequence: int | None = None, limit: int
    ) -> list[RecordedEvent]:
        """The order's events by sequence, each with its progress in the outbox."""
        outbox, later = outbox_event.c, outbox_event.alias()
        overtaken = (
            select(1)
            .where(later.c.source == outbox.source, later.c.subject == outbox.subject)
            .where(later.c.sequence > outbox.sequence)
            .where(func.coalesce(later.c.first_sent_at, later.c.sent_at) < func.coalesce(outbox.sent_at, func.now()))
            .exists()
        )
        # The first times are stored separately only after an event was republished.
        firsts = (
            func.coalesce(outbox.first_sent_at, outbox.sent_at).label("first_sent_at"),
            func.coalesce(outbox.first_published_at, outbox.published_at).label("first_published_at"),
        )
        discarded = (
            select(1)
            .where(outbox_audit.c.event_id == col(OrderHistoryRow.event_id), outbox_audit.c.action == "discard")
            .exists()
        )
        times = (outbox.recorded_at, outbox.sent_at, outbox.published_at, outbox.held_at, *firsts)
        republished = func.coalesce(outbox.republished, 0).label("republished")
        flags = (republished, overtaken.label("overtaken"), discarded.label("discarded"))
        statement = (
            select(OrderHistoryRow, *times, *flags)
            .join(outbox_event, outbox.event_id == col(OrderHistoryRow.event_id), isouter=True)
            .where(col(OrderHistoryRow.order_id) == id, col(OrderHistoryRow.version) > after)
            .order_by(col(OrderHistoryRow.version))
            .limit(limit)
        )
        if sequence is not None:
            statement = statement.where(col(OrderHistoryRow.version) == sequence)
        return [_event(found) for found in await self._session.execute(statement)]

    async def _one(self, statement: Any) -> Order | None:
        found = await self._many(statement)
        return found[0] if found else None

    async def _many(self, statement: Any) -> list[Order]:
        rows = (await self._session.execute(statement)).scalars().all()
        if not rows:
            return []
        lines = await self._lines([row.id for row in rows])
        return [_order(row, lines[row.id]) for row in rows]

    async def _lines(self, ids: Sequence[UUID]) -> dict[UUID, list[OrderLineRow]]:
        statement = (
            select(OrderLineRow)
            .where(col(OrderLineRow.order_id).in_(ids))
            .order_by(col(OrderLineRow.order_id), col(OrderLineRow.position))
        )
        found: dict[UUID, list[OrderLineRow]] = {id: [] for id in ids}
        for line in (await self._session.execute(statement)).scalars():
            found[line.order_id].append(line)
        return found


def _owned(statement: Any, owner: str | None) -> Any:
    return statement if owner is None else statement.where(col(OrderRow.customer_id) == owner)


def _order(row: OrderRow, lines: Sequence[OrderLineRow]) -> Order:
    return Order(
        id=OrderId(row.id),
        customer_id=row.customer_id,
        recipient=row.recipient,
        locale=row.locale,
        currency=row.currency,
        lines=tuple(
            OrderLine(line.sku, line.quantity, in_minor_units(line.unit_price, row.currency)) for line in lines
        ),
        state=OrderState(row.state),
        held_from=OrderState(row.held_from) if row.held_from else None,
        version=row.version,
        placed_at=row.placed_at,
        updated_at=row.updated_at,
    )


async def continue_after(session: AsyncSession, known: Mapping[OrderId, int]) -> list[KnownOrder]:
    """Raise the versions of orders to the sequences that subscribers know, so that the next event is not a late one.

    Returns the orders that exist, as they were before.
    """
    rows = await session.execute(
        select(col(OrderRow.id), col(OrderRow.version))
        .where(col(OrderRow.id).in_(known))
        .order_by(col(OrderRow.id))
        .with_for_update()
    )
    found = [KnownOrder(OrderId(id), version, known[OrderId(id)]) for id, version in rows]
    for order in found:
        if order.is_behind:
            await session.execute(update(OrderRow).where(col(OrderRow.id) == order.id).values(version=order.known))
    return found


def _event(found: Any) -> RecordedEvent:
    row: OrderHistoryRow = found[0]
    return RecordedEvent(
        id=row.event_id,
        type=row.type,
        sequence=row.version,
        state=OrderState(row.state),
        occurred_at=row.occurred_at,
        correlation_id=row.correlation_id,
        data=row.data,
        recorded_at=found.recorded_at,
        first_sent_at=found.first_sent_at,
        sent_at=found.sent_at,
        first_published_at=found.first_published_at,
        published_at=found.published_at,
        held_at=found.held_at,
        republished=found.republished,
        stale=found.republished > 0 and found.overtaken,
        discarded=found.discarded,
    )
