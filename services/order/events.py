"""Which event states each change."""

from __future__ import annotations

from shared.contracts.orders import (
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

from .domain import Action, Order


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
    """The event of an action on an order; the reason is part of it where one is asked for."""
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
