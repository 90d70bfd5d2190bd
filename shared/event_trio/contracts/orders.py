"""What the order service states: the payloads of `order.*` events."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainSerializer

from .payload import EventPayload

# As text, in plain notation: a JSON number would pass through floats on its way.
Money = Annotated[Decimal, PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json")]


class OrderedLine(BaseModel):
    """So many of one thing, at a price each."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: str
    quantity: int
    unit_price: Money


class OrderEvent(EventPayload):
    """What every order event says."""

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
    """The order is on its way."""

    type: ClassVar[str] = "order.shipped"


class OrderDelivered(OrderEvent):
    """The order arrived."""

    type: ClassVar[str] = "order.delivered"


class OrderCancelled(OrderEvent):
    """The order will not be carried out."""

    type: ClassVar[str] = "order.cancelled"

    reason: str


class OrderHeld(OrderEvent):
    """The order waits until it is released."""

    type: ClassVar[str] = "order.held"

    reason: str


class OrderReleased(OrderEvent):
    """The order goes on where it was held."""

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
