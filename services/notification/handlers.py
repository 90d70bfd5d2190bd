"""Which events the service handles, and what happens when that fails."""

from __future__ import annotations

from shared.consumer.event import Event
from shared.consumer.failures import Reject
from shared.consumer.policies import RetryInPlace
from shared.consumer.router import Router
from shared.contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderEvent,
    OrderPlaced,
    OrderShipped,
)

from .domain import RecipientUnknown
from .senders.sender import SendRefused
from .use_cases import Notifier, Sent

HANDLED: tuple[type[OrderEvent], ...] = (OrderPlaced, OrderConfirmed, OrderShipped, OrderDelivered, OrderCancelled)


def router(notifier: Notifier, *, retry_seconds: float) -> Router:
    """The handlers: each event is one notice. What fails is tried again for so long, then it is a dead letter."""

    async def send(event: Event[OrderEvent]) -> Sent:
        try:
            return await notifier.send(event)
        except (RecipientUnknown, SendRefused) as refused:
            # No repetition helps: the order.placed that would tell was put aside, or the recipient is wrong.
            raise Reject(str(refused)) from refused

    routes = Router()
    for payload in HANDLED:
        routes.handle(payload, notifier.record, act=send, policy=RetryInPlace(within=retry_seconds), timeout=30.0)
    return routes
