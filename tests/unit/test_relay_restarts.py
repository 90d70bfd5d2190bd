"""Unexpected errors of a call, or of the code after it, block neither a group nor the relay."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from event_trio.clock import Clock
from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.batch_writer import BatchWriter
from services.relay.publishing.dispatcher import Dispatcher
from services.relay.publishing.outcome import Answered, BrokerOutage, CallOutcome, Permanent, Transient
from tests.support import virtual_time
from tests.support.loop_world import Made, accept, make, running, until

ESCAPES = [RuntimeError("no"), ValueError("no"), KeyError("no"), asyncio.CancelledError(), TimeoutError(), OSError()]
CALLED_BY_A_CALL = [(Dispatcher, "apply"), (Dispatcher, "record_acknowledgements"), (BatchWriter, "add")]
GROUPS = [f"g-{number}" for number in range(30)]


def faulty(faults: list[BaseException], *, first: list[CallOutcome] | None = None) -> Callable[..., Any]:
    """A broker that plays these faults and is then well."""
    answers = first or []

    async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
        await asyncio.sleep(0.01)
        if answers:
            return answers.pop(0)
        if faults:
            raise faults.pop(0)
        return accept(events)

    return broker


async def all_sent(made: Made, *, seconds: float = 60) -> None:
    await until(lambda: not made.outbox.groups, seconds=seconds)
    by_group = [event.id for event in sorted(made.outbox.sent, key=lambda event: event.subject)]
    assert len(by_group) == len(set(by_group)), "something was recorded twice"


@pytest.mark.parametrize("escaped", ESCAPES, ids=repr)
def test_an_error_of_the_publisher_blocks_no_group(escaped: BaseException) -> None:
    async def scenario() -> None:
        made = make(faulty([escaped] * 10))
        made.outbox.record(*GROUPS, each=3)
        async with running(made) as supervisor:
            await all_sent(made)
            assert supervisor.unhealthy() is None
        assert (made.outbox.held, +made.outbox.attempts) == ({}, {})
        assert made.relay.counts()["groups"] == 0

    virtual_time.run(scenario())


@pytest.mark.parametrize("escaped", ESCAPES, ids=repr)
def test_a_probe_without_an_outcome_is_followed_by_another(escaped: BaseException) -> None:
    """Or the breaker would wait for its outcome for ever."""

    async def scenario() -> None:
        made = make(faulty([escaped] * 3, first=[BrokerOutage("away")]))
        made.outbox.record("a", each=2)
        async with running(made):
            await all_sent(made)
            assert made.relay.outage is None

    virtual_time.run(scenario())


@pytest.mark.parametrize("escaped", ESCAPES, ids=repr)
@pytest.mark.parametrize("failure", [Transient("InternalError"), Permanent("InvalidParameter")], ids=repr)
def test_an_error_while_a_failure_is_recorded_blocks_no_group(
    escaped: BaseException, failure: Transient | Permanent
) -> None:
    async def scenario() -> None:
        failing = {"g-1"}

        async def broker(events: Sequence[PendingEvent]) -> CallOutcome:
            await asyncio.sleep(0.01)
            outcomes = [failure if e.subject in failing else o for e, o in _each(events)]
            return Answered(tuple(outcomes))

        made = make(broker)
        made.outbox.record(*GROUPS, each=2)
        made.outbox.fails = [escaped]
        async with running(made):
            await until(lambda: set(made.outbox.groups) <= failing, seconds=30)
            failing.clear()
            made.outbox.held.clear()
            await all_sent(made)

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("owner", "name", "escaped"),
    [
        *((owner, name, escape) for owner, name in CALLED_BY_A_CALL for escape in ESCAPES),
        # Who cancels the loop itself wants it to end.
        *(
            (Dispatcher, name, escape)
            for name in ("read", "take")
            for escape in ESCAPES
            if isinstance(escape, Exception)
        ),
    ],
    ids=lambda part: getattr(part, "__name__", repr(part)),
)
def test_an_unexpected_error_restarts_the_loop_with_an_empty_backlog(
    owner: type, name: str, escaped: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, faults, called = getattr(owner, name), [escaped], [0]
    # Acknowledgements are recorded together: there may be only one such call.
    first = 1 if name == "record_acknowledgements" else 2

    def failing(*arguments: Any, **options: Any) -> Any:
        called[0] += 1
        if called[0] >= first and faults:
            raise faults.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, failing)

    async def scenario() -> None:
        made = make(faulty([]))
        made.outbox.record(*GROUPS, each=3)
        async with running(made) as supervisor:
            await until(lambda: not faults, seconds=60)
            await all_sent(made)
            made.outbox.record(*GROUPS)
            await all_sent(made)
            assert supervisor.unhealthy() is None

    virtual_time.run(scenario())


@pytest.mark.parametrize("broken", ["_metrics", "_clock"])
def test_an_error_of_metrics_or_clock_blocks_no_group(broken: str) -> None:
    async def scenario() -> None:
        made = make(faulty([]))
        real, faults = getattr(made.relay, broken), [True]

        class Broken:
            def __getattr__(self, name: str) -> Any:
                task = asyncio.current_task()
                if faults and task is not None and "_publish" in repr(task.get_coro()):
                    faults.pop()
                    raise RuntimeError("no metrics")
                return getattr(real, name)

        setattr(made.relay, broken, Broken())
        made.outbox.record(*GROUPS, each=2)
        async with running(made):
            await all_sent(made)
            assert not faults

    virtual_time.run(scenario())


@pytest.mark.parametrize("escaped", ESCAPES, ids=repr)
def test_the_lanes_are_handed_over_however_the_drain_ends(escaped: BaseException) -> None:
    async def scenario() -> None:
        made = make(faulty([escaped] * 20))
        made.outbox.record(*GROUPS)
        async with running(made):
            await until(lambda: made.relay.counts()["calls"] > 0, seconds=5)
        assert made.lanes.left == 1

    virtual_time.run(scenario())


def test_the_lanes_are_handed_over_when_the_budget_is_spent() -> None:
    async def scenario() -> None:
        async def never(events: Sequence[PendingEvent]) -> CallOutcome:
            await asyncio.Event().wait()
            return accept(events)

        made = make(never)
        made.outbox.record(*GROUPS)
        async with running(made):
            await until(lambda: made.relay.counts()["calls"] > 0, seconds=5)
        assert made.lanes.left == 1

    virtual_time.run(scenario())


def _each(events: Sequence[PendingEvent]) -> list[tuple[PendingEvent, Any]]:
    return list(zip(events, accept(events).outcomes, strict=True))


def test_the_clock_of_the_tests_is_one() -> None:
    clock: Clock = virtual_time.VirtualClock()

    async def scenario() -> float:
        began = clock.monotonic()
        await virtual_time.pass_time(3600)
        return clock.monotonic() - began

    assert virtual_time.run(scenario()) == pytest.approx(3600)
