"""The relay's memory does not grow while the broker is unavailable, rejects or throttles."""

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import structlog

from event_trio.backoff import Backoff
from services.relay.publishing.backlog import MOST_DEPRIORITIZED, Backlog, PendingEvent
from services.relay.publishing.group_backoff import MOST_GROUPS
from services.relay.publishing.outcome import (
    Answered,
    BrokerOutage,
    CallOutcome,
    CallRejected,
    Permanent,
    Throttled,
    Transient,
)
from tests.support import virtual_time
from tests.support.loop_world import accept, make, running, until

GROUPS = [f"g-{number}" for number in range(100)]
STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def event(number: int, cycle: int) -> PendingEvent:
    return PendingEvent(number, f"e-{number}-{cycle}", f"g-{number}", number % 64, b"{}", {}, 2)


def always(_: int) -> bool:
    return True


def test_a_thousand_outages_leave_nothing_in_memory() -> None:
    backlog, probed = Backlog(), set[str]()
    for cycle in range(1000):
        backlog.load((event(number, cycle) for number in range(100)), float(cycle))
        batch = backlog.take(always, float(cycle))
        probed |= {taken.subject for taken in batch}
        for taken in batch:
            backlog.requeue(taken)
        backlog.clear()
        if cycle == 9:
            assert len(probed) == 100, "ten probes of ten have not gone round a hundred groups"
        counts = backlog.counts()
        assert counts.pop("deprioritized") <= 100
        assert set(counts.values()) == {0}, counts


def test_changing_lanes_leave_nothing_in_memory() -> None:
    backlog = Backlog()
    for cycle in range(100):
        backlog.load((event(number, cycle) for number in range(100)), float(cycle))
        for number, taken in enumerate(backlog.take(always, float(cycle))):
            if number % 2:
                backlog.failed(taken, float(cycle), Backoff())
            else:
                backlog.throttled(taken, float(cycle), Backoff())
        backlog.drop(range(64))
        assert set(backlog.counts().values()) == {0}, backlog.counts()


def test_failing_groups_are_remembered_up_to_a_bound() -> None:
    backlog = Backlog()
    for number in range(2 * MOST_GROUPS):
        backlog.load([event(number, 0)], 0.0)
        (taken,) = backlog.take(always, 0.0)
        backlog.requeue(taken) if number % 3 == 0 else backlog.failed(taken, 0.0, Backoff(first=60, cap=60))
    assert backlog.counts()["backing_off"] == MOST_GROUPS
    assert backlog.counts()["deprioritized"] == MOST_DEPRIORITIZED


ANSWERS: dict[str, Callable[[Sequence[PendingEvent]], CallOutcome]] = {
    "away": lambda events: BrokerOutage("away"),
    "refuses by name": lambda events: Answered((Permanent("InvalidParameter"),) * len(events)),
    "refuses the call": lambda events: CallRejected("InvalidParameter"),
    "passing trouble": lambda events: Answered((Transient("InternalError"),) * len(events)),
    "throttles": lambda events: Throttled("Throttling"),
}


@pytest.fixture
def no_log() -> None:
    """What is logged would be kept by pytest, and measured."""

    def drop(*_: object) -> dict[str, object]:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])


@pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc")
@pytest.mark.usefixtures("no_log")
@pytest.mark.parametrize(("answer", "minutes"), [(answer, 60 if answer == "away" else 3) for answer in ANSWERS])
def test_an_hour_of_events_without_a_broker_does_not_grow_the_memory(answer: str, minutes: int) -> None:
    """Virtual time; measured after a third of it, and at its end. Most of the events are of groups that wait.

    Only while the broker is away an hour passes in seconds; in the other cases there is more to do.
    """

    async def scenario() -> None:
        away = True

        async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
            await asyncio.sleep(0.02)
            return ANSWERS[answer](events) if away else accept(events)

        made = make(broker)
        made.outbox.record(*GROUPS)
        async with running(made):
            measured: list[tuple[int, int]] = []
            for minute in range(minutes):
                made.outbox.record(*GROUPS[:30], f"new-{minute}")
                made.relay.wake()
                await virtual_time.pass_time(60)
                made.outbox.held.clear()
                if minute in (minutes // 3, minutes - 1):
                    measured.append((sum(made.relay.counts().values()), resident_bytes()))
            (early, before), (late, after) = measured
            # Twelve of a group and a thousand in all are in hand at the most, however many wait.
            assert late <= 3 * len(made.outbox.groups) + 1100, made.relay.counts()
            assert after - before < 8 * 2**20, f"{(after - before) / 2**20:.1f} MiB more, {early} and {late} kept"
            away = False
            made.relay.wake()
            await until(lambda: not made.outbox.groups, seconds=300)
            assert made.relay.counts()["groups"] == 0

    virtual_time.run(scenario())
