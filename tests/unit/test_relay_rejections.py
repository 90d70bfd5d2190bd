"""The cause of a rejection: the event, or a broker that rejects everything. Healthy groups wait for neither."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from services.relay.publishing.acknowledgements import RECORD_SECONDS
from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.outcome import (
    Accepted,
    Answered,
    BrokerMisconfigured,
    BrokerOutage,
    CallOutcome,
    CallRejected,
    Outcome,
    Permanent,
)
from services.relay.publishing.rejection_monitor import FORGET_AFTER_SECONDS, GROUPS, MOST, REPEATS, RejectionMonitor
from tests.support import virtual_time
from tests.support.loop_world import Broker, Made, accept, make, running, until

BAD = [f"bad-{number}" for number in range(10)]
GOOD = [f"good-{number}" for number in range(10)]
REFUSED = Permanent("InvalidParameter: not this one")


def by_name(is_bad: Callable[[str], bool], refused: Outcome = REFUSED) -> Broker:
    """Refuses entries by name, as an answer with status 200 does."""

    async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
        await asyncio.sleep(0.02)
        return Answered(tuple(refused if is_bad(e.subject) else Accepted(f"m-{e.id}") for e in events))

    return broker


def whole_calls(is_bad: Callable[[str], bool], *, by_broker: bool = True) -> Broker:
    """Refuses each call with such an event in it."""

    async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
        await asyncio.sleep(0.02)
        bad = any(is_bad(event.subject) for event in events)
        return CallRejected("InvalidParameter: something", by_broker=by_broker) if bad else accept(events)

    return broker


def bad(subject: str) -> bool:
    return subject.startswith("bad")


async def sent(made: Made, subjects: Sequence[str], *, seconds: float) -> None:
    """Wait until they are acknowledged, and for the record of it, with which a confirmation would be written."""
    seconds += RECORD_SECONDS
    await until(lambda: set(subjects) <= {event.subject for event in made.outbox.sent}, seconds=seconds)


async def held(made: Made, subjects: Sequence[str], *, seconds: float) -> None:
    await until(lambda: set(made.outbox.held) == set(subjects), seconds=seconds)


@pytest.mark.parametrize("broker", [by_name, whole_calls])
@pytest.mark.parametrize("count", [1, 3, 10, 100])
def test_groups_with_invalid_events_are_held_and_healthy_groups_do_not_wait(
    broker: Callable[[Callable[[str], bool]], Broker], count: int
) -> None:
    async def scenario() -> None:
        made = make(broker(bad))
        many = [f"bad-{number}" for number in range(count)]
        made.outbox.record(*many, *GOOD, each=2)
        async with running(made):
            await sent(made, GOOD, seconds=10)
            made.outbox.record("good-later")
            made.relay.wake()
            await sent(made, ["good-later"], seconds=2)
            await held(made, many, seconds=60)
            assert made.relay.outage is None
        assert set(made.outbox.attempts.values()) <= {1}

    virtual_time.run(scenario())


def test_without_healthy_groups_repeatedly_rejected_entries_are_held() -> None:
    async def scenario() -> None:
        made = make(by_name(bad))
        made.outbox.record(*BAD)
        async with running(made):
            await held(made, BAD, seconds=30)
            assert made.relay.outage is None
            made.outbox.record(*GOOD)
            made.relay.wake()
            await sent(made, GOOD, seconds=2)

    virtual_time.run(scenario())


@pytest.mark.parametrize("count", [1, 3, 10])
def test_rejections_of_all_calls_are_an_outage_and_hold_no_group(count: int) -> None:
    """Of a call refused as a whole nobody is named: it may be the topic, the account or the relay."""
    everything = [True]

    async def scenario() -> None:
        made = make(whole_calls(lambda _: everything[0]))
        made.outbox.record(*GOOD[:count])
        async with running(made):
            await until(lambda: made.relay.outage is not None, seconds=5)
            await virtual_time.pass_time(300)
            assert made.relay.outage is not None
            assert "InvalidParameter" in made.relay.outage
            everything[0] = False
            await sent(made, GOOD[:count], seconds=60)
            assert made.relay.outage is None
        assert (made.outbox.held, +made.outbox.attempts) == ({}, {})

    virtual_time.run(scenario())


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("code", ["KMSAccessDenied", "AuthorizationError", "NotFound", "ExpiredToken"])
def test_entries_rejected_for_access_or_credentials_are_an_outage(count: int, code: str) -> None:
    broken = [True]

    async def scenario() -> None:
        made = make(by_name(lambda _: broken[0], BrokerMisconfigured(code)))
        made.outbox.record(*GOOD[:count])
        async with running(made):
            await until(lambda: made.relay.outage == code, seconds=5)
            await virtual_time.pass_time(120)
            assert made.relay.outage == code
            broken[0] = False
            await sent(made, GOOD[:count], seconds=10)
        assert (made.outbox.held, +made.outbox.attempts) == ({}, {})

    virtual_time.run(scenario())


def test_an_event_for_which_no_request_can_be_built_is_held_at_once_and_is_no_outage() -> None:
    async def scenario() -> None:
        made = make(whole_calls(bad, by_broker=False))
        made.outbox.record(*BAD)
        async with running(made):
            await held(made, BAD, seconds=2)
            assert not made.signals.seen("relay.outage")

    virtual_time.run(scenario())


def test_probes_after_an_outage_rotate_through_all_groups() -> None:
    """What keeps the first ten from going, if it is theirs, must not keep the others."""
    poison = {f"g-{number}" for number in range(3)}

    async def scenario() -> None:
        async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
            await asyncio.sleep(0.02)
            return BrokerOutage("500") if any(e.subject in poison for e in events) else accept(events)

        made = make(broker, in_flight=1)
        made.outbox.record(*(f"g-{number}" for number in range(60)))
        async with running(made):
            await until(lambda: len(made.outbox.sent) >= 30, seconds=60)

    virtual_time.run(scenario())


def test_an_event_rejected_again_after_an_acceptance_is_the_cause() -> None:
    rejections = RejectionMonitor()
    assert not rejections.rejected("a", "e", "no", 1.0, named=False)
    rejections.accepted(0.5)
    assert not rejections.rejected("a", "e", "no", 2.0, named=False), "that call began before the first refusal"
    rejections.accepted(2.5)
    assert rejections.rejected("a", "e", "no", 3.0, named=False)


def test_another_event_of_the_group_is_counted_from_zero() -> None:
    rejections = RejectionMonitor()
    for _ in range(REPEATS - 1):
        assert not rejections.rejected("a", "e-1", "no", 1.0, named=True)
    assert not rejections.rejected("a", "e-2", "no", 1.0, named=True)
    assert len(rejections) == 1


def test_rejections_of_many_groups_are_a_problem_of_the_broker_until_an_acceptance_or_a_timeout() -> None:
    rejections = RejectionMonitor()
    for number in range(GROUPS - 1):
        rejections.rejected(f"g-{number}", "e", "no", 1.0, named=True)
    assert rejections.broker_problem(1.0) is None
    rejections.rejected("one more", "e", "no", 1.0, named=True)
    assert rejections.broker_problem(1.0) is not None
    rejections.accepted(2.0)
    assert rejections.broker_problem(2.0) is None
    assert len(rejections) == GROUPS
    assert rejections.broker_problem(2.0 + FORGET_AFTER_SECONDS) is None
    assert len(rejections) == 0


def test_the_remembered_rejections_are_bounded() -> None:
    rejections = RejectionMonitor()
    for number in range(3 * MOST):
        rejections.rejected(f"g-{number}", "e", "no", 1.0, named=True)
    assert len(rejections) == MOST
