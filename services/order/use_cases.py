"""The use cases of orders: each change and its event are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio import failpoints
from event_trio.clock import Clock
from event_trio.contracts.orders import OrderEvent
from event_trio.database.connections import Connections
from event_trio.envelope import Envelope, uuid7
from event_trio.errors import EventTrioError
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard
from event_trio.idempotency.keyed_request import KeyInUse
from event_trio.idempotency.transactions import session_fetch
from event_trio.keyed_semaphore import KeyedSemaphore
from event_trio.observability.request_context import RequestContext
from event_trio.outbox.writer import EventRow, OutboxWriter

from . import domain, events
from .domain import Action, Order, OrderId, OrderLine
from .insertion import CLAIM_FIRST, insert, insert_once
from .metrics import OrderMetrics
from .reports import OrderReport, OrderReportRepository
from .repository import OrderFilter, OrderRepository, Position, RecordedEvent

log = structlog.get_logger(__name__)

REPORTS = 100


class OrderNotFound(EventTrioError):
    """There is no such order, or the caller may not see it."""


class EventNotFound(EventTrioError):
    """The order has no such event."""


LOCK_SECONDS = 5.0
"""How long a change waits for other changes of the same order in this process: as long as `lock_timeout`."""


class VersionMismatch(EventTrioError):
    """The order does not have a version that the caller expects."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the order has version {version}")
        self.version = version


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A new order."""

    customer_id: str
    recipient: str
    locale: str
    currency: str
    lines: tuple[OrderLine, ...]


class Orders:
    """Places, changes and reads orders.

    An order is placed by one statement, on a connection of `connections`; the rest is done in `sessions`.
    `owner` is the customer whose orders the caller may see, or None for all; orders of others are not found.
    `notify` is called after each commit, to wake the relay. The guard `once` stores the response in the transaction of
    the change; for a repeated request it raises AlreadyAnswered, KeyReused or KeyInUse, and nothing is changed.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        connections: Connections,
        writer: OutboxWriter,
        *,
        notify: Callable[[], None],
        clock: Clock,
        metrics: OrderMetrics,
    ) -> None:
        self._locks = KeyedSemaphore()
        self._sessions = sessions
        self._connections = connections
        self._writer = writer
        self._notify = notify
        self._clock = clock
        self._metrics = metrics

    async def place(self, new: NewOrder, context: RequestContext, *, once: IdempotencyGuard[Order] = NO_GUARD) -> Order:
        """Place an order; raises InvalidOrder, or EventRejected when its event exceeds a limit of the broker."""
        order = domain.place(
            OrderId(uuid7()),
            customer_id=new.customer_id,
            recipient=new.recipient,
            locale=new.locale,
            currency=new.currency,
            lines=new.lines,
            at=self._clock.now(),
        )
        payload = events.placed(order)
        row = self._writer.prepare(
            payload,
            subject=str(order.id),
            sequence=order.version,
            correlation_id=context.correlation_id,
            traceparent=context.traceparent,
            time=order.updated_at,
        )
        await self._insert(order, payload, row, once)
        self._writer.log_recorded(row)
        self._after_commit(order, row.event)
        return order

    async def _insert(self, order: Order, payload: OrderEvent, row: EventRow, once: IdempotencyGuard[Order]) -> None:
        claim = once.claiming(order, CLAIM_FIRST)
        failpoints.hit("order.before_commit")
        try:
            if await insert_once(self._connections, order, payload, row, claim):
                return
        except asyncpg.LockNotAvailableError:
            async with self._connections() as connection:
                await once.in_use(connection.fetch)
            raise
        async with self._connections() as connection:
            await once.repeated(connection.fetch)
        # The key has expired: it is freed and taken in one transaction.
        async with self._sessions.begin() as session:
            fetch = session_fetch(session)
            await once.claim(fetch)
            if not await insert(fetch, order, payload, row, claim):
                raise KeyInUse

    async def change(
        self,
        id: OrderId,
        action: Action,
        context: RequestContext,
        *,
        owner: str | None = None,
        reason: str = "",
        versions: frozenset[int] | None = None,
        once: IdempotencyGuard[Order] = NO_GUARD,
    ) -> Order:
        """Apply an action to an order, if it has one of the `versions` (None: any).

        Raises OrderNotFound, VersionMismatch, InvalidTransition, EventRejected or KeyedSemaphoreTimeout.
        """
        # Changes of one order are serialized by its row lock; they wait here without a connection.
        async with self._locks.acquire(id, seconds=LOCK_SECONDS), self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            repository = OrderRepository(session)
            before = await repository.lock(id, owner)
            if before is None:
                raise OrderNotFound
            if versions is not None and before.version not in versions:
                raise VersionMismatch(before.version)
            order = domain.apply(before, action, self._clock.now())
            await repository.save(order)
            envelope = await self._record(session, order, events.changed(order, action, reason), context)
            await once.keep(session_fetch(session), order)
            failpoints.hit("order.before_commit")
        self._after_commit(order, envelope)
        return order

    async def find(self, id: OrderId, *, owner: str | None = None) -> Order:
        """The order; raises OrderNotFound."""
        async with self._sessions() as session:
            order = await OrderRepository(session).find(id, owner)
        if order is None:
            raise OrderNotFound
        return order

    async def page(
        self, filter: OrderFilter, *, owner: str | None, limit: int, after: Position | None = None
    ) -> Sequence[Order]:
        """Orders after a position, newest first."""
        async with self._sessions() as session:
            return await OrderRepository(session).page(filter, owner=owner, after=after, limit=limit)

    async def events(
        self, id: OrderId, *, limit: int, after: int = 0, owner: str | None = None
    ) -> Sequence[RecordedEvent]:
        """The order's events after a sequence; raises OrderNotFound."""
        async with self._sessions() as session:
            repository = OrderRepository(session)
            if await repository.find(id, owner) is None:
                raise OrderNotFound
            return await repository.events(id, after=after, limit=limit)

    async def event(self, id: OrderId, sequence: int, *, owner: str | None = None) -> RecordedEvent:
        """One event of an order; raises OrderNotFound or EventNotFound."""
        async with self._sessions() as session:
            repository = OrderRepository(session)
            if await repository.find(id, owner) is None:
                raise OrderNotFound
            found = await repository.events(id, sequence=sequence, limit=1)
        if not found:
            raise EventNotFound
        return found[0]

    async def reports(self, id: OrderId, *, owner: str | None = None) -> Sequence[OrderReport]:
        """The reports of other services about the order, oldest first; raises OrderNotFound."""
        async with self._sessions() as session:
            if await OrderRepository(session).find(id, owner) is None:
                raise OrderNotFound
            return await OrderReportRepository(session).of(id, limit=REPORTS)

    async def _record(
        self, session: AsyncSession, order: Order, payload: OrderEvent, context: RequestContext
    ) -> Envelope:
        """Record the event and the history. The order's row is locked, so versions are in commit order."""
        envelope = await self._writer.record(
            session,
            payload,
            subject=str(order.id),
            sequence=order.version,
            correlation_id=context.correlation_id,
            traceparent=context.traceparent,
            time=order.updated_at,
        )
        await OrderRepository(session).add_history(order, envelope, payload)
        return envelope

    def _after_commit(self, order: Order, envelope: Envelope) -> None:
        """Notify, count and log after the commit. Nothing depends on it: it is lost if the process crashes before."""
        failpoints.hit("order.after_commit")
        self._notify()
        self._metrics.recorded.labels(envelope.type).inc()
        log.info(
            "order changed",
            action=envelope.type,
            order_id=str(order.id),
            version=order.version,
            state=order.state.value,
            event_id=str(envelope.id),
        )
