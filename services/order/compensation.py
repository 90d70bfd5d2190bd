"""Compensation: what the order service does when a customer could not be notified."""

from __future__ import annotations

from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.clock import Clock
from event_trio.consumer.errors import Reject
from event_trio.consumer.event import Event
from event_trio.contracts.notifications import NotificationFailed
from event_trio.contracts.orders import OrderPlaced
from event_trio.outbox.writer import OutboxWriter

from . import domain, events
from .domain import Action, Order, OrderId, OrderState
from .metrics import OrderMetrics
from .reports import OrderReport, OrderReportRepository
from .repository import OrderRepository

log = structlog.get_logger(__name__)

COMPENSATED = frozenset({OrderState.PLACED, OrderState.CONFIRMED})


class Compensation(StrEnum):
    """What to do with an order whose placement could not be notified to its customer."""

    HOLD = "hold"
    CANCEL = "cancel"


class Compensator:
    """Compensates inside the transaction of the inbox, under the order's row lock.

    Only a failed notification of `order.placed` is compensated, and only while the order is placed or confirmed. The
    failed notification of a compensation therefore never causes another one.
    """

    def __init__(
        self, writer: OutboxWriter, compensation: Compensation, *, clock: Clock, metrics: OrderMetrics
    ) -> None:
        self._writer = writer
        self._action = Action(compensation)
        self._clock = clock
        self._metrics = metrics

    async def notification_failed(self, session: AsyncSession, event: Event[NotificationFailed], _: None) -> None:
        """Compensate and record the failure, or only record it; raises Reject if the order does not exist."""
        failure = event.payload
        order = await OrderRepository(session).lock(OrderId(failure.order_id), None)
        if order is None:
            raise Reject("there is no such order")
        compensates = failure.cause_type == OrderPlaced.type and order.state in COMPENSATED
        if compensates:
            await self._compensate(session, order, event)
        await OrderReportRepository(session).add(
            OrderReport(
                event_id=event.envelope.id,
                order_id=order.id,
                type=event.envelope.type,
                cause_type=failure.cause_type,
                reason=failure.reason,
                compensation=str(self._action) if compensates else "none",
                occurred_at=event.envelope.time,
            )
        )
        log.warning(
            "customer could not be notified",
            action="order.compensated" if compensates else "order.reported",
            state=order.state.value,
            cause_type=failure.cause_type,
        )

    async def _compensate(self, session: AsyncSession, before: Order, event: Event[NotificationFailed]) -> None:
        order = domain.apply(before, self._action, self._clock.now())
        repository = OrderRepository(session)
        await repository.save(order)
        change = events.changed(order, self._action, "the customer could not be notified")
        envelope = await self._writer.record(
            session,
            change,
            subject=str(order.id),
            sequence=order.version,
            correlation_id=event.envelope.correlationid,
            causation_id=str(event.id),
            traceparent=event.envelope.traceparent,
            time=order.updated_at,
        )
        await repository.add_history(order, envelope, change)
        self._metrics.compensated.labels(str(self._action)).inc()
