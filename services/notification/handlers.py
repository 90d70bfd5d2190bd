"""The events that the service handles, and their failure policy."""

from __future__ import annotations

from event_trio.consumer import DependencyUnavailable, Reject
from event_trio.consumer.event import Event
from event_trio.consumer.policies import PublishFailure, Retry, Unit
from event_trio.consumer.router import Router
from event_trio.contracts.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderEvent,
    OrderPlaced,
    OrderShipped,
)

from .domain import UnknownRecipient
from .rendering import RenderingFailed
from .senders.sender import SenderUnavailable, SendRejected
from .use_cases import CustomerNotifier, SentNotification

HANDLED: tuple[type[OrderEvent], ...] = (OrderPlaced, OrderConfirmed, OrderShipped, OrderDelivered, OrderCancelled)

# Half a minute in place, then a quarter of an hour deferred; then a failure event is published.
POLICY = Retry(attempts=8, delay=1, unit=Unit.SECONDS, backoff=3.0, then=PublishFailure())


def router(notifier: CustomerNotifier) -> Router:
    """The handlers. Each event results in one notification."""

    async def send(event: Event[OrderEvent]) -> SentNotification:
        try:
            return await notifier.send(event)
        except SenderUnavailable as down:
            raise DependencyUnavailable(down.seconds, str(down)) from down
        except (UnknownRecipient, RenderingFailed, SendRejected) as error:
            # A retry cannot succeed: without the order.placed, without a template, or with an invalid recipient.
            raise Reject(str(error)) from error

    routes = Router()
    for payload in HANDLED:
        routes.handle(
            payload, writes=notifier.writes, act=send, policy=POLICY, timeout=30.0, on_failure=notifier.record_failure
        )
    return routes
