"""The event of each change."""

from __future__ import annotations

from collections.abc import Sequence

from event_trio.contracts.orders import (
    ORDER_EVENTS,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderedLine,
    OrderEvent,
    OrderHeld,
    OrderPlaced,
    OrderReleased,
    OrderShipped,
)
from event_trio.contracts.payload import PayloadMode
from event_trio.errors import ConfigurationError
from event_trio.settings import require_known

from .domain import Action, Order


class PayloadReferences:
    """The URLs of payloads, for the event types that are published without one; raises ConfigurationError."""

    def __init__(self, types: Sequence[str], address: str | None) -> None:
        allowed = [event.type for event in ORDER_EVENTS if event.payload_mode is PayloadMode.DATA_OR_DATAREF]
        for name in types:
            require_known(name, allowed, "ZERO_PAYLOAD_EVENTS")
        if types and not address:
            raise ConfigurationError("ZERO_PAYLOAD_EVENTS is set, so PUBLIC_URL must be set: payloads are read there")
        self._types = frozenset(types)
        self._address = (address or "").rstrip("/")

    def __call__(self, type: str, subject: str, sequence: int) -> str | None:
        return f"{self._address}/v1/orders/{subject}/events/{sequence}" if type in self._types else None


def placed(order: Order) -> OrderPlaced:
    """The event of a new order."""
    return OrderPlaced(
        order_id=order.id,
        customer_id=order.customer_id,
        recipient=order.recipient,
        locale=order.locale,
        currency=order.currency,
        lines=tuple(
            OrderedLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in order.lines
        ),
        total=order.total,
    )


def changed(order: Order, action: Action, reason: str) -> OrderEvent:
    """The event of an action; it contains the reason if the action requires one."""
    match action:
        case Action.CONFIRM:
            return OrderConfirmed(order_id=order.id, customer_id=order.customer_id)
        case Action.SHIP:
            return OrderShipped(order_id=order.id, customer_id=order.customer_id)
        case Action.DELIVER:
            return OrderDelivered(order_id=order.id, customer_id=order.customer_id)
        case Action.CANCEL:
            return OrderCancelled(order_id=order.id, customer_id=order.customer_id, reason=reason)
        case Action.HOLD:
            return OrderHeld(order_id=order.id, customer_id=order.customer_id, reason=reason)
        case Action.RELEASE:
            return OrderReleased(order_id=order.id, customer_id=order.customer_id)
