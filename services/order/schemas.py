"""The requests and responses of the REST API."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from event_trio import mailbox
from event_trio.http.body import Integer, RequestBody
from event_trio.http.reason import REASON_LINE

from .domain import Order, OrderLine, OrderState
from .money import MINOR_UNITS
from .repository import RecordedEvent
from .use_cases import NewOrder

# Patterns use [0-9] instead of \\d, which matches the digits of every script.
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,3})?$")]
AmountText = Annotated[
    Decimal,
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["12.50"]}),
]
CustomerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@|-]{1,128}$")]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
ReasonText = Annotated[
    str,
    StringConstraints(pattern=REASON_LINE, max_length=500, strip_whitespace=True),
]


def _mailable(address: str) -> str:
    try:
        mailbox.mailbox(address)
    except mailbox.NotMailable as error:
        raise PydanticCustomError("not_mailable", "{reason}", {"reason": str(error)}) from None
    return address


# The pattern is necessary but not sufficient: no pattern describes valid domain names.
Address = Annotated[
    str,
    AfterValidator(_mailable),
    WithJsonSchema({"type": "string", "pattern": mailbox.PATTERN, "maxLength": mailbox.MOST_OCTETS}),
]


class LineRequest(RequestBody):
    """A quantity of one article, and its unit price."""

    sku: Sku = Field(examples=["TEA-EARL-GREY-100"])
    quantity: Integer = Field(ge=1, le=1_000_000, examples=[2])
    unit_price: Amount = Field(
        description="A decimal number as a string, with at most the decimal places of the currency.", examples=["12.50"]
    )


class PlaceOrder(RequestBody):
    """A new order."""

    customer_id: CustomerId = Field(description="The customer's id; customers use their own.", examples=["customer-1"])
    recipient: Address = Field(description="The e-mail address to notify.", examples=["ada@example.com"])
    locale: Locale = Field("en", description="The language of notifications (BCP 47).", examples=["en", "ko"])
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = Field(
        description="ISO 4217.", examples=["EUR"], json_schema_extra={"enum": [*sorted(MINOR_UNITS)]}
    )
    lines: list[LineRequest] = Field(min_length=1, max_length=100)

    def to_domain(self) -> NewOrder:
        """The input of the use case."""
        lines = tuple(OrderLine(line.sku, line.quantity, Decimal(line.unit_price)) for line in self.lines)
        return NewOrder(self.customer_id, self.recipient, self.locale, self.currency, lines)


class ChangeReason(RequestBody):
    """The reason for a change."""

    reason: ReasonText = Field(examples=["the customer changed their mind"])


class LineView(BaseModel):
    """A quantity of one article, and its unit price."""

    sku: str = Field(examples=["TEA-EARL-GREY-100"])
    quantity: int = Field(examples=[2])
    unit_price: AmountText


class OrderView(BaseModel):
    """An order."""

    id: UUID = Field(examples=["019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"])
    customer_id: str = Field(examples=["customer-1"])
    recipient: str = Field(examples=["ada@example.com"])
    locale: str = Field(examples=["en"])
    currency: str = Field(examples=["EUR"])
    lines: list[LineView]
    total: AmountText
    state: OrderState
    version: int = Field(description="The number of changes of the order, which is also its ETag.", examples=[1])
    placed_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, order: Order) -> OrderView:
        """The view of an order."""
        return cls.model_validate(order, from_attributes=True)


class OrderPage(BaseModel):
    """Orders, newest first."""

    items: list[OrderView]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")


class EventLinks(BaseModel):
    """Links to the notification service; each is present if its URL is configured and the caller may read it."""

    notifications: str | None = Field(
        None, description="The notifications about the order.", exclude_if=lambda link: link is None
    )
    processed: str | None = Field(
        None,
        description="The event in the inbox of the notification service.",
        exclude_if=lambda link: link is None,
    )


class OrderEventView(BaseModel):
    """An event of an order and its progress: recorded → sent → published.

    The status `held` means that its message group in the outbox is held; it is independent of the order's state.
    """

    id: UUID
    type: str = Field(examples=["order.placed"])
    sequence: int = Field(description="The order's version after the event, starting at 1.", examples=[1])
    state: OrderState = Field(description="The order's state after the event.")
    occurred_at: datetime
    correlation_id: str
    status: Literal["recorded", "sent", "published", "held", "discarded"]
    recorded_at: datetime | None
    first_sent_at: datetime | None = Field(description="When the broker first accepted it.")
    sent_at: datetime | None = Field(description="When the broker last accepted it; null while it is to go again.")
    first_published_at: datetime | None = Field(description="When it was first seen to arrive in a queue.")
    published_at: datetime | None = Field(description="When it was last seen to; null while it is to go again.")
    held_at: datetime | None = Field(
        description="Since when its message group waits for an operator; the order's own state is another thing."
    )
    republished: int = Field(description="How often it was sent again because it seemed lost, or on demand.")
    stale: bool = Field(description="Whether it was sent again after a later event of the order.")
    links: EventLinks
    data: dict[str, Any]

    @classmethod
    def of(cls, event: RecordedEvent, links: EventLinks) -> OrderEventView:
        """The view of an event."""
        return cls(links=links, **{name: getattr(event, name) for name in cls.model_fields if name != "links"})


class OrderEventPage(BaseModel):
    """Events of an order, in the order of their sequence."""

    items: list[OrderEventView]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")
