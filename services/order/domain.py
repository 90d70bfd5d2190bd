"""What an order is and what may happen to it; pure, so that every rule can be tested by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

from event_trio.errors import EventTrioError

from .money import MINOR_UNITS, fits, in_minor_units

OrderId = NewType("OrderId", UUID)


class OrderState(StrEnum):
    """Where an order is in its life."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    HELD = "held"


class Action(StrEnum):
    """What can be done to an order."""

    CONFIRM = "confirm"
    SHIP = "ship"
    DELIVER = "deliver"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"


# From which states each action leads where; a release leads back to where the hold came from.
RULES: dict[Action, tuple[frozenset[OrderState], OrderState | None]] = {
    Action.CONFIRM: (frozenset({OrderState.PLACED}), OrderState.CONFIRMED),
    Action.SHIP: (frozenset({OrderState.CONFIRMED}), OrderState.SHIPPED),
    Action.DELIVER: (frozenset({OrderState.SHIPPED}), OrderState.DELIVERED),
    Action.CANCEL: (frozenset({OrderState.PLACED, OrderState.CONFIRMED, OrderState.HELD}), OrderState.CANCELLED),
    Action.HOLD: (frozenset({OrderState.PLACED, OrderState.CONFIRMED}), OrderState.HELD),
    Action.RELEASE: (frozenset({OrderState.HELD}), None),
}


class InvalidOrder(EventTrioError):
    """What was asked for cannot be an order."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class InvalidTransition(EventTrioError):
    """The order is in a state in which this cannot be done."""

    def __init__(self, action: Action, state: OrderState) -> None:
        self.action = action
        self.state = state
        self.allowed = allowed(state)
        possible = f"possible: {', '.join(self.allowed)}" if self.allowed else "nothing can be done to it any more"
        super().__init__(f"cannot {action} an order that is {state}; {possible}")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """So many of one thing, at a price each."""

    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands after `version` changes. `held_from` is the state before a hold."""

    id: OrderId
    customer_id: str
    recipient: str
    locale: str
    currency: str
    lines: tuple[OrderLine, ...]
    state: OrderState
    held_from: OrderState | None
    version: int
    placed_at: datetime
    updated_at: datetime

    @property
    def total(self) -> Decimal:
        """The sum of the lines, in the order's currency."""
        return sum((line.total for line in self.lines), Decimal(0))


def place(
    id: OrderId,
    *,
    customer_id: str,
    recipient: str,
    locale: str,
    currency: str,
    lines: Sequence[OrderLine],
    at: datetime,
) -> Order:
    """A new order, in version 1; raises InvalidOrder, naming the field."""
    if currency not in MINOR_UNITS:
        raise InvalidOrder("currency", "not a currency of ISO 4217")
    if not lines:
        raise InvalidOrder("lines", "an order has at least one line")
    for number, line in enumerate(lines):
        if line.quantity < 1:
            raise InvalidOrder(f"lines.{number}.quantity", "at least 1")
        if line.unit_price < 0:
            raise InvalidOrder(f"lines.{number}.unit_price", "not below 0")
        if not fits(line.unit_price, currency):
            raise InvalidOrder(
                f"lines.{number}.unit_price", f"{currency} has {MINOR_UNITS[currency]} digits after the point"
            )
    priced = tuple(replace(line, unit_price=in_minor_units(line.unit_price, currency)) for line in lines)
    return Order(
        id=id,
        customer_id=customer_id,
        recipient=recipient,
        locale=locale,
        currency=currency,
        lines=priced,
        state=OrderState.PLACED,
        held_from=None,
        version=1,
        placed_at=at,
        updated_at=at,
    )


def allowed(state: OrderState) -> tuple[Action, ...]:
    """What can be done to an order in this state."""
    return tuple(action for action, (sources, _) in RULES.items() if state in sources)


def apply(order: Order, action: Action, at: datetime) -> Order:
    """The order after the action, one version on; raises InvalidTransition."""
    sources, target = RULES[action]
    if order.state not in sources:
        raise InvalidTransition(action, order.state)
    if target is None:
        assert order.held_from is not None, "a held order knows where it was held"
        target = order.held_from
    return replace(
        order,
        state=target,
        held_from=order.state if action is Action.HOLD else None,
        version=order.version + 1,
        # A clock that was set back must not make an order older than it was.
        updated_at=max(at, order.updated_at),
    )
