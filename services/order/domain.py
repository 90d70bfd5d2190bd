"""Orders and the rules of their changes, without any framework."""

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
    """The states of an order."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    HELD = "held"


class Action(StrEnum):
    """The actions on an order."""

    CONFIRM = "confirm"
    SHIP = "ship"
    DELIVER = "deliver"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"


# The states in which each action is allowed, and the state that it leads to. A release returns to the state before.
RULES: dict[Action, tuple[frozenset[OrderState], OrderState | None]] = {
    Action.CONFIRM: (frozenset({OrderState.PLACED}), OrderState.CONFIRMED),
    Action.SHIP: (frozenset({OrderState.CONFIRMED}), OrderState.SHIPPED),
    Action.DELIVER: (frozenset({OrderState.SHIPPED}), OrderState.DELIVERED),
    Action.CANCEL: (frozenset({OrderState.PLACED, OrderState.CONFIRMED, OrderState.HELD}), OrderState.CANCELLED),
    Action.HOLD: (frozenset({OrderState.PLACED, OrderState.CONFIRMED}), OrderState.HELD),
    Action.RELEASE: (frozenset({OrderState.HELD}), None),
}


class InvalidOrder(EventTrioError):
    """The order is not valid."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class InvalidTransition(EventTrioError):
    """The action is not allowed in the order's state."""

    def __init__(self, action: Action, state: OrderState) -> None:
        self.action = action
        self.state = state
        self.allowed = allowed(state)
        possible = f"possible: {', '.join(self.allowed)}" if self.allowed else "no action is possible"
        super().__init__(f"cannot {action} an order that is {state}; {possible}")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A quantity of one article, and its unit price."""

    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Order:
    """An order after `version` changes. `held_from` is the state before a hold."""

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
        """The sum of the lines in the order's currency."""
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
    """A new order in version 1; raises InvalidOrder, which names the field."""
    if currency not in MINOR_UNITS:
        raise InvalidOrder("currency", "must be a currency of ISO 4217")
    if not lines:
        raise InvalidOrder("lines", "must have at least one line")
    for number, line in enumerate(lines):
        if line.quantity < 1:
            raise InvalidOrder(f"lines.{number}.quantity", "must be at least 1")
        if line.unit_price < 0:
            raise InvalidOrder(f"lines.{number}.unit_price", "must not be negative")
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
    """The actions that are allowed in this state."""
    return tuple(action for action, (sources, _) in RULES.items() if state in sources)


def apply(order: Order, action: Action, at: datetime) -> Order:
    """The order after the action, with the next version; raises InvalidTransition."""
    sources, target = RULES[action]
    if order.state not in sources:
        raise InvalidTransition(action, order.state)
    if target is None:
        assert order.held_from is not None, "a held order has its state before the hold"
        target = order.held_from
    return replace(
        order,
        state=target,
        held_from=order.state if action is Action.HOLD else None,
        version=order.version + 1,
        # The clock may have been set back.
        updated_at=max(at, order.updated_at),
    )
