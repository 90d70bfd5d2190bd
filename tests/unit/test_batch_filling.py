"""How long a batch that is not full waits."""

from datetime import UTC, datetime

from services.relay.publishing.batch_filling import FILL_SECONDS, LONGEST_WAIT_SECONDS, WAIT_FACTOR, BatchFilling
from services.relay.publishing.delivery_delay import PRESENT, WINDOW

MOST = 16
FEW = 4


def filling(call_seconds: float) -> BatchFilling:
    made = BatchFilling(MOST)
    for _ in range(40):
        made.answered(call_seconds)
    return made


def test_an_event_that_finds_no_call_in_flight_never_waits() -> None:
    for seconds in (0.001, 0.03, 3.0):
        made = filling(seconds)
        made.began(10.0, "message", joinable=True)
        made.ended(10.0)
        assert not made.waits(0, 10.0)


def test_with_a_quick_broker_it_waits_while_many_calls_are_in_flight() -> None:
    made = filling(0.01)
    made.ended(10.0)
    assert not made.waits(FEW, 10.0)
    assert made.waits(FEW + 1, 10.0)
    assert not made.waits(FEW + 1, 10.0 + FILL_SECONDS)


def test_with_a_slow_broker_it_waits_for_the_call_in_flight_unless_that_takes_unusually_long() -> None:
    made = filling(0.1)
    made.began(10.0, "message", joinable=True)
    assert made.waits(1, 10.1)
    assert not made.waits(1, 10.0 + 0.1 * WAIT_FACTOR + 0.001)


def test_a_broker_that_does_not_answer_costs_a_bounded_wait() -> None:
    made = filling(10.0)
    made.began(10.0, "message", joinable=True)
    assert made.wait_ends_at(1, 10.0) == 10.0 + LONGEST_WAIT_SECONDS


def test_with_a_broker_that_delivers_late_it_waits_even_if_no_call_is_in_flight() -> None:
    made = filling(0.001)
    for number, seconds in enumerate([0.0] * WINDOW + [1.0] * PRESENT):
        made.began(number, str(number), joinable=True)
        made.delivered(str(number), datetime.fromtimestamp(number + seconds, UTC), number + seconds)
    made.began(25.0, "message", joinable=True)
    assert made.spacing(25.0) > 0
    assert made.waits(0, 25.0)
    assert not made.waits(0, 25.0 + made.spacing(25.0))
    made.began(26.0, "other", joinable=False)
    assert not made.waits(0, 26.0)


def test_after_a_batch_that_others_could_not_join_nothing_waits() -> None:
    made = filling(0.1)
    made.began(10.0, "message", joinable=False)
    assert not made.waits(1, 10.01)
