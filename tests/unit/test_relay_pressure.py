"""A broker that throttles gets fewer calls at once; throttling is neither an outage nor a counted attempt."""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from statistics import median

import pytest

from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.limiter import InFlightLimit
from services.relay.publishing.outcome import Accepted, Answered, CallOutcome, Throttled
from tests.support import virtual_time
from tests.support.loop_world import Broker, Made, accept, make, running, until

GROUPS = [f"g-{number}" for number in range(1200)]
EACH = 4
CALL_SECONDS = 0.01


def throttling(share: float, *, whole: bool = False, seed: int = 1) -> Broker:
    """A broker that throttles this share of the entries, or of the calls."""
    chance = random.Random(seed)
    calls = [0]

    async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
        await asyncio.sleep(CALL_SECONDS)
        calls[0] += 1
        if whole:
            return Throttled("Throttling") if share and calls[0] % round(1 / share) == 0 else accept(events)
        return Answered(
            tuple(Throttled("Throttled") if chance.random() < share else Accepted(f"m-{e.id}") for e in events)
        )

    return broker


def drain(broker: Broker, *, in_flight: int = 8, seconds: float = 300) -> tuple[float, Made]:
    """How fast the broker had nine tenths of everything, in events a second; and then everything is sent."""
    accepted: list[float] = []

    async def watched(events: Sequence[PendingEvent]) -> CallOutcome:
        answer = await broker(events)
        if isinstance(answer, Answered):
            count = sum(isinstance(outcome, Accepted) for outcome in answer.outcomes)
            accepted.extend([asyncio.get_running_loop().time()] * count)
        return answer

    async def scenario() -> tuple[float, Made]:
        made = make(watched, in_flight=in_flight)
        made.outbox.record(*GROUPS, each=EACH)
        async with running(made):
            await until(lambda: not made.outbox.groups, seconds=seconds)
        assert not made.signals.seen("relay.outage")
        assert (made.outbox.held, +made.outbox.attempts) == ({}, {})
        most = EACH * len(GROUPS) * 9 // 10
        return most / (accepted[most] - accepted[0]), made

    return virtual_time.run(scenario())


@pytest.mark.parametrize("whole", [False, True], ids=["entries", "calls"])
@pytest.mark.parametrize("in_flight", [1, 8, 16])
def test_at_five_per_cent_throttled_the_relay_keeps_nine_tenths_of_its_rate(in_flight: int, whole: bool) -> None:
    undisturbed, _ = drain(throttling(0.0), in_flight=in_flight)
    throttled, _ = drain(throttling(0.05, whole=whole), in_flight=in_flight)
    assert throttled / undisturbed >= 0.9


def test_each_group_is_sent_in_order_whatever_is_throttled() -> None:
    _, made = drain(throttling(0.4))
    sent: dict[str, list[int]] = {}
    for event in made.outbox.sent:
        sent.setdefault(event.subject, []).append(event.id)
    assert len(made.outbox.sent) == EACH * len(GROUPS)
    assert all(ids == sorted(set(ids)) for ids in sent.values())


def test_a_broker_with_a_limit_gets_about_as_many_calls_as_it_accepts() -> None:
    """A bucket of tokens, as AWS has one: beyond its rate it throttles, and what is throttled costs calls.

    The pauses after throttled calls are random, so single runs differ by a third.
    """
    rates, most_calls = [], 0
    for _ in range(15):
        rate, calls = drain_limited()
        rates.append(rate)
        most_calls = max(most_calls, calls)
    assert median(rates) > 700
    assert most_calls < 2 * EACH * len(GROUPS) / 10


def drain_limited() -> tuple[float, int]:
    """The rate at which a broker that accepts a thousand events a second gets them, and the number of calls."""
    taken: list[float] = []
    calls = [0]

    async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
        await asyncio.sleep(CALL_SECONDS)
        calls[0] += 1
        now = asyncio.get_running_loop().time()
        if sum(at > now - 1 for at in taken[-1000:]) > 1000 - len(events):
            return Throttled("Throttling")
        taken.extend([now] * len(events))
        return accept(events)

    rate, _ = drain(broker, in_flight=64)
    return rate, calls[0]


def test_a_broker_that_throttles_everything_gets_few_calls_and_groups_stay_in_memory() -> None:
    async def scenario() -> None:
        well, calls = asyncio.Event(), deque[float](maxlen=100_000)

        async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
            calls.append(asyncio.get_running_loop().time())
            await asyncio.sleep(CALL_SECONDS)
            return accept(events) if well.is_set() else Throttled("Throttling")

        made = make(broker)
        made.outbox.record(*GROUPS[:100])
        async with running(made):
            await virtual_time.pass_time(60)
            assert made.relay.outage is None
            assert not made.signals.seen("relay.outage")
            limit = made.metrics.in_flight_limit._value.get()
            late = [at for at in calls if at > asyncio.get_running_loop().time() - 20]
            assert (limit, len(late) < 60) == (1, True), f"{len(late)} calls in twenty seconds"
            well.set()
            await until(lambda: not made.outbox.groups, seconds=10)
            made.outbox.record(*GROUPS)
            await until(lambda: not made.outbox.groups, seconds=60)
            assert made.metrics.in_flight_limit._value.get() == 8
        assert +made.outbox.attempts == {}

    virtual_time.run(scenario())


@pytest.mark.parametrize(("throttled", "least", "most"), [(0, 8, 8), (1, 8, 8), (5, 1, 1), (10, 1, 1)])
def test_the_limit_shrinks_with_the_throttled_share_and_grows_again(throttled: int, least: int, most: int) -> None:
    limit = InFlightLimit(8)
    for _ in range(200):
        limit.answered(10, throttled, 0.0)
    assert least <= limit.current <= most
    for _ in range(100):
        limit.answered(10, 0, 0.0)
    assert limit.current == 8
    assert not limit.lowered


def test_with_a_limit_of_one_there_are_pauses_between_throttled_calls() -> None:
    limit = InFlightLimit(1)
    waits: list[float] = []
    limit.answered(10, 10, 0.0)
    assert limit.may_begin(0, 0.0), "one alone is chance"
    now = 0.0
    for _ in range(12):
        limit.answered(10, 10, now)
        waits.append(limit.opens_at - now)
        assert not limit.may_begin(0, now)
        now = limit.opens_at
    assert 0.02 < waits[0] <= 0.05
    assert 1.0 <= waits[-1] <= 2.0
    limit.answered(10, 0, now)
    assert limit.may_begin(0, now)
