"""The rules of an order: every transition, in every sequence."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order.domain import (
    Action,
    InvalidOrder,
    InvalidTransition,
    Order,
    OrderId,
    OrderLine,
    OrderState,
    allowed,
    place,
)
from services.order.domain import apply as act

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)

POSSIBLE: dict[tuple[OrderState, Action], OrderState] = {
    (OrderState.PLACED, Action.CONFIRM): OrderState.CONFIRMED,
    (OrderState.PLACED, Action.CANCEL): OrderState.CANCELLED,
    (OrderState.PLACED, Action.HOLD): OrderState.HELD,
    (OrderState.CONFIRMED, Action.SHIP): OrderState.SHIPPED,
    (OrderState.CONFIRMED, Action.CANCEL): OrderState.CANCELLED,
    (OrderState.CONFIRMED, Action.HOLD): OrderState.HELD,
    (OrderState.SHIPPED, Action.DELIVER): OrderState.DELIVERED,
    (OrderState.HELD, Action.CANCEL): OrderState.CANCELLED,
    (OrderState.HELD, Action.RELEASE): OrderState.PLACED,
}


def order(
    state: OrderState = OrderState.PLACED, *, currency: str = "EUR", lines: tuple[OrderLine, ...] | None = None
) -> Order:
    placed = place(
        OrderId(UUID(int=1)),
        customer_id="customer-1",
        recipient="ada@example.com",
        locale="en",
        currency=currency,
        lines=lines if lines is not None else (OrderLine("tea", 2, Decimal("12.5")),),
        at=NOON,
    )
    return replace(placed, state=state, held_from=OrderState.PLACED if state is OrderState.HELD else None)


@pytest.mark.parametrize(("state", "action"), list(itertools.product(OrderState, Action)))
def test_every_action_in_every_state(state: OrderState, action: Action) -> None:
    before = order(state)
    expected = POSSIBLE.get((state, action))
    if expected is None:
        with pytest.raises(InvalidTransition) as refused:
            act(before, action, LATER)
        assert refused.value.state is state
        assert set(refused.value.allowed) == {possible for start, possible in POSSIBLE if start is state}
        assert state.value in str(refused.value)
    else:
        after = act(before, action, LATER)
        assert (after.state, after.version, after.updated_at) == (expected, before.version + 1, LATER)


@pytest.mark.parametrize("state", [OrderState.PLACED, OrderState.CONFIRMED])
def test_a_release_returns_to_the_state_before_the_hold(state: OrderState) -> None:
    held = act(order(state), Action.HOLD, LATER)
    assert held.held_from is state
    released = act(held, Action.RELEASE, LATER)
    assert (released.state, released.held_from) == (state, None)


def test_cancelling_a_held_order_clears_its_previous_state() -> None:
    assert act(order(OrderState.HELD), Action.CANCEL, LATER).held_from is None


def test_updated_at_never_decreases() -> None:
    assert act(order(), Action.CONFIRM, NOON - timedelta(hours=1)).updated_at == NOON


@given(st.lists(st.sampled_from(Action), max_size=40))
def test_no_interleaving_breaks_the_version_sequence(actions: list[Action]) -> None:
    current, versions = order(), [1]
    for action in actions:
        if action not in allowed(current.state):
            with pytest.raises(InvalidTransition):
                act(current, action, LATER)
            continue
        current = act(current, action, LATER)
        versions.append(current.version)
        assert (current.state is OrderState.HELD) == (current.held_from is not None)
    assert versions == list(range(1, len(versions) + 1))


def test_amounts_are_exact_in_the_currency_s_decimal_places() -> None:
    placed = order(lines=(OrderLine("a", 3, Decimal("0.1")), OrderLine("b", 1, Decimal("19"))))
    assert [str(line.unit_price) for line in placed.lines] == ["0.10", "19.00"]
    assert str(placed.total) == "19.30"


@pytest.mark.parametrize(
    ("currency", "lines", "field"),
    [
        ("XXX", (OrderLine("tea", 1, Decimal(1)),), "currency"),
        ("EUR", (), "lines"),
        ("EUR", (OrderLine("tea", 0, Decimal(1)),), "lines.0.quantity"),
        ("EUR", (OrderLine("tea", 1, Decimal(1)), OrderLine("tea", 1, Decimal(-1))), "lines.1.unit_price"),
        ("EUR", (OrderLine("tea", 1, Decimal("0.005")),), "lines.0.unit_price"),
        ("KRW", (OrderLine("tea", 1, Decimal("0.5")),), "lines.0.unit_price"),
    ],
)
def test_invalid_orders_are_rejected_by_field(currency: str, lines: tuple[OrderLine, ...], field: str) -> None:
    with pytest.raises(InvalidOrder) as refused:
        order(currency=currency, lines=lines)
    assert refused.value.field == field


def test_three_decimal_places_where_the_currency_has_them() -> None:
    assert str(order(currency="KWD", lines=(OrderLine("tea", 1, Decimal("1.005")),)).total) == "1.005"
