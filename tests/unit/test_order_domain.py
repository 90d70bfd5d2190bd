"""What may happen to an order: every transition, and every order of them."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order.domain import Action, Line, Order, OrderId, OrderInvalid, State, TransitionRefused, allowed, place
from services.order.domain import apply as act

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)

POSSIBLE: dict[tuple[State, Action], State] = {
    (State.PLACED, Action.CONFIRM): State.CONFIRMED,
    (State.PLACED, Action.CANCEL): State.CANCELLED,
    (State.PLACED, Action.HOLD): State.HELD,
    (State.CONFIRMED, Action.SHIP): State.SHIPPED,
    (State.CONFIRMED, Action.CANCEL): State.CANCELLED,
    (State.CONFIRMED, Action.HOLD): State.HELD,
    (State.SHIPPED, Action.DELIVER): State.DELIVERED,
    (State.HELD, Action.CANCEL): State.CANCELLED,
    (State.HELD, Action.RELEASE): State.PLACED,
}


def order(state: State = State.PLACED, *, currency: str = "EUR", lines: tuple[Line, ...] | None = None) -> Order:
    placed = place(
        OrderId(UUID(int=1)),
        customer_id="customer-1",
        recipient="ada@example.com",
        locale="en",
        currency=currency,
        lines=lines if lines is not None else (Line("tea", 2, Decimal("12.5")),),
        at=NOON,
    )
    return replace(placed, state=state, held_from=State.PLACED if state is State.HELD else None)


@pytest.mark.parametrize(("state", "action"), list(itertools.product(State, Action)))
def test_every_action_in_every_state(state: State, action: Action) -> None:
    before = order(state)
    expected = POSSIBLE.get((state, action))
    if expected is None:
        with pytest.raises(TransitionRefused) as refused:
            act(before, action, LATER)
        assert refused.value.state is state
        assert set(refused.value.allowed) == {possible for start, possible in POSSIBLE if start is state}
        assert state.value in str(refused.value)
    else:
        after = act(before, action, LATER)
        assert (after.state, after.version, after.updated_at) == (expected, before.version + 1, LATER)


@pytest.mark.parametrize("state", [State.PLACED, State.CONFIRMED])
def test_a_release_returns_to_the_state_before_the_hold(state: State) -> None:
    held = act(order(state), Action.HOLD, LATER)
    assert held.held_from is state
    released = act(held, Action.RELEASE, LATER)
    assert (released.state, released.held_from) == (state, None)


def test_a_cancelled_hold_forgets_where_it_came_from() -> None:
    assert act(order(State.HELD), Action.CANCEL, LATER).held_from is None


def test_a_clock_set_back_makes_no_order_older() -> None:
    assert act(order(), Action.CONFIRM, NOON - timedelta(hours=1)).updated_at == NOON


@given(st.lists(st.sampled_from(Action), max_size=40))
def test_no_interleaving_breaks_the_version_sequence(actions: list[Action]) -> None:
    current, versions = order(), [1]
    for action in actions:
        if action not in allowed(current.state):
            with pytest.raises(TransitionRefused):
                act(current, action, LATER)
            continue
        current = act(current, action, LATER)
        versions.append(current.version)
        assert (current.state is State.HELD) == (current.held_from is not None)
    assert versions == list(range(1, len(versions) + 1))


def test_money_is_exact_and_in_the_currencys_digits() -> None:
    placed = order(lines=(Line("a", 3, Decimal("0.1")), Line("b", 1, Decimal("19"))))
    assert [str(line.unit_price) for line in placed.lines] == ["0.10", "19.00"]
    assert str(placed.total) == "19.30"


@pytest.mark.parametrize(
    ("currency", "lines", "field"),
    [
        ("XXX", (Line("tea", 1, Decimal(1)),), "currency"),
        ("EUR", (), "lines"),
        ("EUR", (Line("tea", 0, Decimal(1)),), "lines.0.quantity"),
        ("EUR", (Line("tea", 1, Decimal(1)), Line("tea", 1, Decimal(-1))), "lines.1.unit_price"),
        ("EUR", (Line("tea", 1, Decimal("0.005")),), "lines.0.unit_price"),
        ("KRW", (Line("tea", 1, Decimal("0.5")),), "lines.0.unit_price"),
    ],
)
def test_what_cannot_be_an_order_is_refused_by_field(currency: str, lines: tuple[Line, ...], field: str) -> None:
    with pytest.raises(OrderInvalid) as refused:
        order(currency=currency, lines=lines)
    assert refused.value.field == field


def test_three_digits_where_the_currency_has_them() -> None:
    assert str(order(currency="KWD", lines=(Line("tea", 1, Decimal("1.005")),)).total) == "1.005"
