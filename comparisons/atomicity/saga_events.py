"""The events of the sagas, in this project's envelope."""

from __future__ import annotations

from typing import ClassVar

from comparisons.atomicity.world import ORDERS, PAYMENT, STOCK
from event_trio.contracts.payload import EventPayload


class PurchaseEvent(EventPayload):
    """What every event of a purchase says."""

    type: ClassVar[str] = "purchase.event"
    publisher: ClassVar[str] = ORDERS
    """The service that publishes it."""
    purchase: str
    item: str
    quantity: int
    customer: str
    amount: int


class PurchaseRequested(PurchaseEvent):
    """A customer wants to buy."""

    type: ClassVar[str] = "purchase.requested"


class StockTaken(PurchaseEvent):
    """The stock was taken."""

    type: ClassVar[str] = "stock.taken"
    publisher: ClassVar[str] = STOCK


class StockRefused(PurchaseEvent):
    """There was not enough stock."""

    type: ClassVar[str] = "stock.refused"
    publisher: ClassVar[str] = STOCK


class PaymentTaken(PurchaseEvent):
    """The payment was taken."""

    type: ClassVar[str] = "payment.taken"
    publisher: ClassVar[str] = PAYMENT


class PaymentRefused(PurchaseEvent):
    """There was not enough money."""

    type: ClassVar[str] = "payment.refused"
    publisher: ClassVar[str] = PAYMENT


class StockReturned(PurchaseEvent):
    """The stock was given back."""

    type: ClassVar[str] = "stock.returned"
    publisher: ClassVar[str] = STOCK


class PaymentWanted(PurchaseEvent):
    """The orchestrator asks for the payment."""

    type: ClassVar[str] = "payment.wanted"


class StockReturnWanted(PurchaseEvent):
    """The orchestrator asks for the stock to be given back."""

    type: ClassVar[str] = "stock.return-wanted"


EVENTS: dict[str, type[PurchaseEvent]] = {
    event.type: event
    for event in (
        PurchaseRequested,
        StockTaken,
        StockRefused,
        PaymentTaken,
        PaymentRefused,
        StockReturned,
        PaymentWanted,
        StockReturnWanted,
    )
}
