"""The payloads of `order.*` events, which the order service publishes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from .payload import PERSONAL_DATA, EventPayload, PayloadMode

# A string in plain notation: many JSON parsers convert numbers to floats.
Money = Annotated[Decimal, PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json")]


class OrderedLine(BaseModel):
    """A quantity of one article, and its unit price."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: str = Field(description="The article.", examples=["TEA-1"])
    quantity: int = Field(description="The number of units.", examples=[2])
    unit_price: Money = Field(description="The price of one unit, in the currency of the order.", examples=["12.50"])


class OrderEvent(EventPayload):
    """The fields of every order event."""

    owner: ClassVar[str] = "order"
    payload_mode: ClassVar[PayloadMode] = PayloadMode.DATA_OR_DATAREF

    order_id: UUID = Field(description="The order.", examples=["019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"])
    customer_id: str = Field(description="The customer's id at the shop.", examples=["customer-1"])


class OrderPlaced(OrderEvent):
    """A customer placed an order. The only event with personal data (the recipient)."""

    type: ClassVar[str] = "order.placed"

    recipient: str = Field(
        description="The address at which the customer is notified.",
        examples=["ada@example.com"],
        json_schema_extra=PERSONAL_DATA,
    )
    locale: str = Field(description="The language of notifications (BCP 47).", examples=["en"])
    currency: str = Field(description="The currency of all prices (ISO 4217).", examples=["EUR"])
    lines: tuple[OrderedLine, ...] = Field(description="What was ordered.")
    total: Money = Field(description="The sum of all lines.", examples=["25.00"])


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

    reason: str = Field(description="Why it was cancelled.", examples=["the customer changed their mind"])


class OrderHeld(OrderEvent):
    """The order was held, and waits until it is released."""

    type: ClassVar[str] = "order.held"

    reason: str = Field(description="Why it was held.", examples=["the customer could not be notified"])


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
