"""How long messages wait inside the broker, measured with two clocks that nobody compares."""

from hypothesis import given
from hypothesis import strategies as st

from services.relay.publishing.delivery_delay import (
    FOLLOWED,
    FOLLOWED_SECONDS,
    MEASUREMENTS,
    STEP_SECONDS,
    STEPS,
    DeliveryDelay,
)

OFFSET = 1_795_000_000.0
USUAL = 0.015


def measured(delays: DeliveryDelay, began_at: float, seconds: float, offset: float = OFFSET) -> float:
    delays.follow("message", began_at)
    return delays.arrived("message", began_at + offset + seconds).seconds


@given(st.floats(-1e9, 1e9), st.lists(st.floats(0.01, 5.0), min_size=1, max_size=50))
def test_the_difference_of_the_clocks_cancels_out(offset: float, waits: list[float]) -> None:
    delays = DeliveryDelay()
    found = [measured(delays, 100 + number / 10, wait, offset) for number, wait in enumerate(waits)]
    for number, delay in enumerate(found):
        last = waits[max(0, number + 1 - MEASUREMENTS) : number + 1]
        assert abs(delay - (min(last) - min(waits[: number + 1]))) < 1e-5


def test_a_single_late_message_does_not_count() -> None:
    delays = DeliveryDelay()
    found = [measured(delays, number, wait) for number, wait in enumerate([USUAL] * 5 + [3.0] + [USUAL] * 5)]
    assert max(found) < 0.001


def test_messages_that_are_all_late_count() -> None:
    delays = DeliveryDelay()
    measured(delays, 0.0, USUAL)
    assert abs([measured(delays, number, 0.5) for number in range(1, 1 + MEASUREMENTS)][-1] - (0.5 - USUAL)) < 1e-5


def test_what_was_sent_before_spoils_the_base_for_a_minute_only() -> None:
    delays = DeliveryDelay()
    measured(delays, 0.0, -8.0)
    for number in range(1, 1 + MEASUREMENTS):
        late = measured(delays, number, USUAL)
    assert late > 7
    for number in range(MEASUREMENTS):
        late = measured(delays, STEP_SECONDS * STEPS + number, USUAL)
    assert late < 0.001


def test_a_message_that_is_sent_again_counts_from_its_first_call() -> None:
    delays = DeliveryDelay()
    measured(delays, 0.0, USUAL)
    delays.follow("twice", 1.0)
    delays.follow("twice", 4.0)
    assert delays.arrived("twice", OFFSET + 1.0 + USUAL).began_at == 1.0
    assert measured(delays, 5.0, USUAL) < 0.001


def test_messages_that_do_not_come_back_take_no_memory() -> None:
    delays = DeliveryDelay()
    for number in range(3 * FOLLOWED):
        delays.follow(str(number), number / 100)
    assert delays.follows(str(FOLLOWED - 1))
    assert not delays.follows(str(FOLLOWED))
    delays.follow("later", 10 + FOLLOWED_SECONDS)
    assert delays.follows("later")
    assert not delays.follows("0")
