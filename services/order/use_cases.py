"""What can be done with orders: each change and its event are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio import failpoints
from event_trio.clock import Clock
from event_trio.contracts.orders import OrderEvent
from event_trio.envelope import Envelope, uuid7
from event_trio.errors import EventTrioError
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard
from event_trio.idempotency.transactions import session_fetch
from event_trio.keyed_semaphore import KeyedSemaphore
from event_trio.observability.request_context import RequestContext
from event_trio.outbox.writer import OutboxWriter

from . import domain, events
from .domain import Action, Order, OrderId, OrderLine
from .metrics import OrderMetrics
from .reports import OrderReport, OrderReportRepository
from .repository import OrderFilter, OrderRepository, Position, RecordedEvent

log = structlog.get_logger(__name__)

REPORTS = 100


class OrderNotFound(EventTrioError):
    """There is no such order, or it is not this caller's."""


class EventNotFound(EventTrioError):
    """The order has no such event."""


TURN_SECONDS = 5.0
"""How long a change waits for others of the same order; as long as the database lets one wait for the order's lock."""


class VersionMismatch(EventTrioError):
    """The order is no longer in a version that the caller expects."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the order is in version {version}")
        self.version = version


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a customer orders."""

    customer_id: str
    recipient: str
    locale: str
    currency: str
    lines: tuple[OrderLine, ...]


class Orders:
    """Places, changes and reads orders.

    `owner` is the customer whose orders the caller may see, or None for all; another's order is not found.
    `notify` is called after each commit, to wake the relay. A change that is made `once` keeps its answer in its own
    transaction; asked for again it raises Repeated, KeyReused or KeyInUse, and changes nothing.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        writer: OutboxWriter,
        *,
        notify: Callable[[], None],
        clock: Clock,
        metrics: OrderMetrics,
    ) -> None:
        self._turns = KeyedSemaphore()
        self._sessions = sessions
        self._writer = writer
        self._notify = notify
        self._clock = clock
        self._metrics = metrics

    async def place(self, new: NewOrder, context: RequestContext, *, once: IdempotencyGuard[Order] = NO_GUARD) -> Order:
        """Take an order; raises InvalidOrder, or EventRejected when the broker could not carry its event."""
        order = domain.place(
            OrderId(uuid7()),
            customer_id=new.customer_id,
            recipient=new.recipient,
            locale=new.locale,
            currency=new.currency,
            lines=new.lines,
            at=self._clock.now(),
        )
        async with self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            await OrderRepository(session).add(order)
            envelope = await self._state(session, order, events.placed(order), context)
            await once.keep(session_fetch(session), order)
            failpoints.hit("order.before_commit")
        self._announce(order, envelope)
        return order

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
        """Do something to an order, if it is in one of the `versions` (None: in whichever).

        Raises OrderNotFound, VersionMismatch, InvalidTransition, EventRejected or NoTurn.
        """
        # The order's row is one's at a time anyway: others wait here, without a connection.
        async with self._turns.acquire(id, seconds=TURN_SECONDS), self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            repository = OrderRepository(session)
            before = await repository.lock(id, owner)
            if before is None:
                raise OrderNotFound
            if versions is not None and before.version not in versions:
                raise VersionMismatch(before.version)
            order = domain.apply(before, action, self._clock.now())
            await repository.save(order)
            envelope = await self._state(session, order, events.changed(order, action, reason), context)
            await once.keep(session_fetch(session), order)
            failpoints.hit("order.before_commit")
        self._announce(order, envelope)
        return order

    async def find(self, id: OrderId, *, owner: str | None = None) -> Order:
        """The order as it stands; raises OrderNotFound."""
        async with self._sessions() as session:
            order = await OrderRepository(session).find(id, owner)
        if order is None:
            raise OrderNotFound
        return order

    async def page(
        self, wanted: OrderFilter, *, owner: str | None, limit: int, after: Position | None = None
    ) -> Sequence[Order]:
        """Orders, newest first, after a position."""
        async with self._sessions() as session:
            return await OrderRepository(session).page(wanted, owner=owner, after=after, limit=limit)

    async def events(
        self, id: OrderId, *, limit: int, after: int = 0, owner: str | None = None
    ) -> Sequence[RecordedEvent]:
        """The order's events after a sequence number; raises OrderNotFound."""
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
        """What others reported about the order, oldest first; raises OrderNotFound."""
        async with self._sessions() as session:
            if await OrderRepository(session).find(id, owner) is None:
                raise OrderNotFound
            return await OrderReportRepository(session).of(id, limit=REPORTS)

    async def _state(
        self, session: AsyncSession, order: Order, payload: OrderEvent, context: RequestContext
    ) -> Envelope:
        """Record the event and the history. The order's row is locked by now, so versions are in commit order."""
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

    def _announce(self, order: Order, envelope: Envelope) -> None:
        """After the commit: what is done here may be lost with the process, and nothing depends on it."""
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
