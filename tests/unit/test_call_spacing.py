"""How far calls are kept apart while the broker delivers late."""

import random
from datetime import UTC, datetime
from heapq import heappop, heappush

from services.relay.publishing.batch_filling import BatchFilling
from services.relay.publishing.call_spacing import (
    FACTOR,
    FIRST_SECONDS,
    HALVED_SECONDS,
    HELD_SECONDS,
    LATE_SECONDS,
    MOST_SECONDS,
    RECOVERED_SECONDS,
    CallSpacing,
)
from services.relay.publishing.delivery_delay import Delay

LATE = LATE_SECONDS * 2


def test_there_is_none_while_messages_come_in_time() -> None:
    spacing = CallSpacing()
    for number in range(100):
        spacing.observe(Delay(LATE_SECONDS, number), number)
        assert spacing.seconds(number) == 0


def test_it_grows_once_for_the_calls_that_began_before_it_grew() -> None:
    spacing = CallSpacing()
    for began_at in (0.1, 0.2, 0.3):
        spacing.observe(Delay(LATE, began_at), 1.0)
        assert spacing.seconds(1.0) == FIRST_SECONDS
    spacing.observe(Delay(LATE, 1.1), 1.2)
    assert spacing.seconds(1.2) > FIRST_SECONDS * FACTOR * 0.95


def test_it_has_a_limit() -> None:
    spacing = CallSpacing()
    for number in range(100):
        spacing.observe(Delay(60.0, number), number)
    assert spacing.seconds(99) == MOST_SECONDS


def test_it_stays_while_messages_are_neither_late_nor_in_time() -> None:
    spacing = CallSpacing()
    spacing.observe(Delay(LATE, 0.0), 0.0)
    for tenths in range(1, 1000):
        spacing.observe(Delay(LATE_SECONDS, tenths / 10), tenths / 10)
    assert spacing.seconds(99.9) > FIRST_SECONDS / 2


def test_it_shrinks_when_they_come_in_time_or_not_at_all() -> None:
    spacing = CallSpacing()
    spacing.observe(Delay(LATE, 0.0), 0.0)
    for number in range(1, 10):
        spacing.observe(Delay(RECOVERED_SECONDS, number), number)
    assert abs(spacing.seconds(HELD_SECONDS + HALVED_SECONDS) - FIRST_SECONDS / 2) < 1e-9
    assert spacing.seconds(HALVED_SECONDS * 10) == 0


def test_there_is_hardly_any_with_a_broker_whose_times_vary() -> None:
    """Half of the messages within 80 ms, one of a hundred later than 160 ms, 40 calls a second for ten minutes."""
    chance, filling, spaced = random.Random(5), BatchFilling(8), 0
    for number in range(24_000):
        at, taken = number / 40, 0.08 * chance.lognormvariate(0, 0.3)
        filling.began(at, str(number), joinable=True)
        filling.delivered(str(number), datetime.fromtimestamp(at + taken, UTC), at + taken)
        spaced += filling.spacing(at + taken) > 0
    assert spaced < 24_000 / 100


def delays_of(*, measured: bool) -> list[float]:
    """How long events take until a broker has delivered them that acknowledges calls quicker than it delivers them.

    5 events a second for 10 seconds, then 40 a second for 60. A call takes 30 ms, and one after the other is delivered
    in 60 ms and 2 ms for each message. The publish check hears of a message a fifth of a second later.
    """
    chance = random.Random(7)
    filling = BatchFilling(8)
    arrivals, at = list[float](), 0.0
    while at < 70:
        at += chance.expovariate(5 if at < 10 else 40)
        arrivals.append(at)
    waiting, found = list[float](), list[float]()
    happenings: list[tuple[float, str, float]] = [(each, "event", 0.0) for each in arrivals]
    in_flight, idle_at = 0, 0.0
    while happenings:
        now, what, value = heappop(happenings)
        if what == "event":
            waiting.append(now)
        elif what == "answer":
            in_flight -= 1
            filling.answered(0.03)
            filling.ended(now)
        elif what == "measured" and measured:
            filling.delivered(str(value), datetime.fromtimestamp(now - 0.2, UTC), now)
        while waiting and in_flight < 8:
            if len(waiting) < 10 and filling.waits(in_flight, now):
                heappush(happenings, (filling.wait_ends_at(in_flight, now) + 1e-6, "wake", 0.0))
                break
            batch, waiting = waiting[:10], waiting[10:]
            filling.began(now, str(now), joinable=True)
            in_flight += 1
            heappush(happenings, (now + 0.03, "answer", 0.0))
            idle_at = max(idle_at, now) + 0.06 + 0.002 * len(batch)
            heappush(happenings, (idle_at + 0.2, "measured", now))
            found += [idle_at - each for each in batch]
    return found


def test_it_keeps_up_with_a_broker_that_acknowledges_calls_quicker_than_it_delivers_them() -> None:
    late, in_time = sorted(delays_of(measured=False)), sorted(delays_of(measured=True))
    assert late[len(late) // 2] > 2
    assert in_time[len(in_time) // 2] < 0.25
    assert in_time[len(in_time) * 99 // 100] < 1.5
