"""The payloads of `order.*` events, which the order service publishes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainSerializer

from .payload import EventPayload

# A string in plain notation: many JSON parsers convert numbers to floats.
Money = Annotated[Decimal, PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json")]


class OrderedLine(BaseModel):
    """A quantity of one article, and its unit price."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: str
    quantity: int
    unit_price: Money


class OrderEvent(EventPayload):
    """The fields of every order event."""

    order_id: UUID
    customer_id: str


class OrderPlaced(OrderEvent):
    """A customer placed an order. The only event with personal data (the recipient)."""

    type: ClassVar[str] = "order.placed"

    recipient: str
    locale: str
    currency: str
    lines: tuple[OrderedLine, ...]
    total: Money


class OrderConfirmed(OrderEvent):
    """The order was accepted and will be shipped."""

    type: ClassVar[str] = "order.confirmed"


class OrderShipped(OrderEvent):
    """The order was shipped."""

    type: ClassVar[str] = "order.shipped"


class OrderDelivered(OrderEvent):
    """The order was delivered."""

    type: ClassVar[str] = "order.delivered"


class OrderCancelled(OrderEvent):
    """The order was cancelled and will not be shipped."""

    type: ClassVar[str] = "order.cancelled"

    reason: str


class OrderHeld(OrderEvent):
    """The order was held, and waits until it is released."""

    type: ClassVar[str] = "order.held"

    reason: str


class OrderReleased(OrderEvent):
    """The order was released, and has its state before the hold."""

    type: ClassVar[str] = "order.released"


ORDER_EVENTS: tuple[type[OrderEvent], ...] = (
    OrderPlaced,
    OrderConfirmed,
    OrderShipped,
    OrderDelivered,
    OrderCancelled,
    OrderHeld,
    OrderReleased,
)
