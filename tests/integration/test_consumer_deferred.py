"""A message that fails for longer than it can stay in flight is deferred in the database, and runs when it is due."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws
from event_trio.consumer.errors import DependencyUnavailable, Reject, RetryLater
from event_trio.consumer.event import Event
from event_trio.consumer.policies import DeadLetter, FailurePolicy, Rest, Retry, Unit
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from event_trio.envelope import Envelope
from event_trio.inbox.deferred_messages import DeferredMessages, MessageBlocked
from event_trio.inbox.selection import By, Selection
from tests.support.consuming import CONSUMER, Counted, TestedConsumer, consumer_of, effects, make_effects, nothing, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.waiting import eventually

BY = By("olga", "the carrier is back")
HOURLY = Retry(attempts=3, delay=1, unit=Unit.HOURS, backoff=2.0)
ASIDE = "SELECT sequence, status, attempts, blocks FROM deferred_message ORDER BY id"


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


class Patient:
    """A handler that fails for one sequence of one subject until it is healed."""

    def __init__(self, sequence: int = 1, error: Exception | None = None) -> None:
        self.healed = False
        self.attempts: list[int] = []
        self._sequence = sequence
        self._error = error or RuntimeError("not yet")

    async def __call__(self, event: Event[Counted]) -> None:
        if event.envelope.subject == "failing" and event.envelope.sequence_number == self._sequence:
            self.attempts.append(event.attempt)
            if not self.healed:
                raise self._error


def stream(subject: str, count: int) -> list[Envelope]:
    return [envelope_of(Counted(), subject=subject, sequence=number + 1) for number in range(count)]


async def pass_hours(database: TestDatabase) -> None:
    await execute(database.url, "UPDATE deferred_message SET due_at = now() WHERE due_at > now()")


async def deferred(tested: TestedConsumer, queue: FifoQueue, *events: Envelope) -> None:
    for event in events:
        await queue.send(event)
    for event in events:
        await tested.completed(event.id, "deferred")


@pytest.mark.parametrize("acting", [False, True])
async def test_a_wait_of_hours_survives_a_restart_and_the_group_waits_behind_in_order(
    acting: bool, database: TestDatabase, queue: FifoQueue
) -> None:
    """Neither the group's later events nor another instance pass it; other groups do."""
    handler = Patient()
    first, second, third = stream("failing", 3)
    act, before = (handler, nothing) if acting else (None, handler)
    async with consumer_of(database, queue.reader(), policy=HOURLY, act=act, before=before) as tested:
        await deferred(tested, queue, first, second)
        (sound,) = stream("sound", 1)
        await queue.send(sound)
        await tested.completed(sound.id, "handled")
        await eventually(queue.is_empty)
        await tested.kill()
    assert await rows(database, ASIDE) == [(1, "waiting", 1, True), (2, "blocked", 0, True)]
    [(seconds,)] = await rows(database, "SELECT extract(epoch FROM due_at - now()) FROM deferred_message LIMIT 1")
    assert 3000 < seconds <= 3600
    async with consumer_of(database, queue.reader(), policy=HOURLY, act=act, before=before) as tested:
        await deferred(tested, queue, third)
        assert await effects(database) == [("sound", 1)]
        handler.healed = True
        await pass_hours(database)
        await tested.completed(third.id, "handled")
    assert await effects(database) == [("sound", 1), ("failing", 1), ("failing", 2), ("failing", 3)]
    assert handler.attempts == [1, 2]
    assert await rows(database, "SELECT 1 FROM deferred_message UNION ALL SELECT 1 FROM effect WHERE stale") == []
    assert await rows(database, "SELECT DISTINCT outcome FROM processed_message") == [("handled",)]


async def test_an_operator_runs_the_first_of_a_group_now_and_the_rest_follows_in_order(
    database: TestDatabase, queue: FifoQueue
) -> None:
    handler = Patient()
    first, second, third = stream("failing", 3)
    async with consumer_of(database, queue.reader(), policy=HOURLY, act=handler) as tested:
        await deferred(tested, queue, first, second, third)
        messages = DeferredMessages(tested.sessions, CONSUMER)
        with pytest.raises(MessageBlocked, match=str(first.id)):
            await messages.run(Selection(event_id=str(second.id)), BY)
        await messages.discard(Selection(event_id=str(second.id)), BY)
        handler.healed = True
        await messages.run(Selection(group="failing"), BY)
        await tested.completed(third.id, "handled")
    assert await effects(database) == [("failing", 1), ("failing", 3)]
    outcomes = await rows(database, "SELECT outcome FROM processed_message ORDER BY sequence")
    assert outcomes == [("handled",), ("discarded",), ("handled",)]


async def test_later_events_pass_when_the_policy_says_so_and_the_late_one_is_stale(
    database: TestDatabase, queue: FifoQueue
) -> None:
    handler = Patient()
    first, second = stream("failing", 2)
    passing = Retry(attempts=3, delay=1, unit=Unit.HOURS, rest=Rest.PASS)
    async with consumer_of(database, queue.reader(), act=handler, policy=passing) as tested:
        await deferred(tested, queue, first)
        await queue.send(second)
        await tested.completed(second.id, "handled")
        handler.healed = True
        await pass_hours(database)
        await tested.completed(first.id, "handled_stale")
    assert await rows(database, "SELECT sequence, stale FROM effect ORDER BY id") == [(2, False), (1, True)]


async def test_after_the_last_attempt_the_group_goes_on_behind_a_dead_letter(
    database: TestDatabase, queue: FifoQueue
) -> None:
    handler = Patient()
    first, second = stream("failing", 2)
    async with consumer_of(database, queue.reader(), act=handler, policy=HOURLY) as tested:
        await deferred(tested, queue, first, second)
        await eventually(lambda: hours_until(database, handler, calls=3))
        await tested.completed(first.id, "dead_letter")
        await tested.completed(second.id, "handled")
    assert await rows(database, ASIDE) == [(1, "dead", 3, False)]
    assert await effects(database) == [("failing", 2)]


async def test_a_dead_letter_that_holds_its_group_keeps_it_waiting(database: TestDatabase, queue: FifoQueue) -> None:
    handler = Patient(error=Reject("never"))
    first, second, third = stream("failing", 3)
    async with consumer_of(database, queue.reader(), act=handler, policy=DeadLetter(Rest.WAIT)) as tested:
        await queue.send(first)
        await tested.completed(first.id, "dead_letter")
        await deferred(tested, queue, second, third)
    assert await rows(database, ASIDE) == [(1, "dead", 0, True), (2, "blocked", 0, True), (3, "blocked", 0, True)]


async def test_a_duplicate_of_a_deferred_message_is_acknowledged(database: TestDatabase, queue: FifoQueue) -> None:
    (event,) = stream("failing", 1)
    async with consumer_of(database, queue.reader(), act=Patient(), policy=HOURLY) as tested:
        await deferred(tested, queue, event)
        await queue.send(event, again=1)
        await tested.completed(event.id, "duplicate")
    assert len(await rows(database, ASIDE)) == 1


@pytest.mark.parametrize("policy", [HOURLY, DeadLetter()])
async def test_a_handler_can_ask_for_later(policy: FailurePolicy, database: TestDatabase, queue: FifoQueue) -> None:
    (event,) = stream("failing", 1)
    handler = Patient(error=RetryLater(7200, "ask again in two hours"))
    async with consumer_of(database, queue.reader(), act=handler, policy=policy) as tested:
        await deferred(tested, queue, event)
        [(seconds, error)] = await rows(
            database, "SELECT extract(epoch FROM due_at - now()), error FROM deferred_message"
        )
        assert 7000 < seconds <= 7200
        assert error == "ask again in two hours"
        handler.healed = True
        await pass_hours(database)
        await tested.completed(event.id, "handled")


async def test_an_outage_is_not_counted_as_an_attempt(database: TestDatabase, queue: FifoQueue) -> None:
    (event,) = stream("failing", 1)
    handler = Patient(error=DependencyUnavailable(120, "the carrier is down"))
    once = Retry(attempts=1, delay=1)
    async with consumer_of(database, queue.reader(), act=handler, policy=once) as tested:
        await deferred(tested, queue, event)
        await eventually(lambda: hours_until(database, handler, calls=3))
        handler.healed = True
        await eventually(lambda: hours_until(database, handler, calls=4))
        await tested.completed(event.id, "handled")
    assert set(handler.attempts) == {1}


async def test_beyond_the_limit_a_message_that_fails_is_deferred_at_once(
    database: TestDatabase, queue: FifoQueue
) -> None:
    """The number of messages that wait in flight is limited, however short their delays are."""

    async def fail(event: Event[Counted]) -> None:
        raise RuntimeError("all do")

    limits = Limits(concurrency=1, waiting=2, drain_seconds=5.0, polling=Polling(wait_seconds=1, visibility_seconds=20))
    slow = Retry(attempts=5, delay=30)
    async with consumer_of(database, queue.reader(), act=fail, policy=slow, limits=limits) as tested:
        for number in range(6):
            await queue.send(envelope_of(Counted(), subject=f"group-{number}"))
        await tested.signals.wait("consumer.postponed", count=2)
        await eventually(lambda: aside(database, 4))
        assert tested.registry.get_sample_value("consumer_messages", {"state": "waiting"}) == 2


async def test_two_loops_run_each_message_once_and_a_group_in_order(database: TestDatabase, queue: FifoQueue) -> None:
    handler = Patient()
    events = stream("failing", 12)
    async with (
        consumer_of(database, queue.reader(), act=handler, policy=HOURLY) as one,
        consumer_of(database, queue.reader(), act=handler, policy=HOURLY) as two,
    ):
        for event in events:
            await queue.send(event)
        await eventually(lambda: aside(database, 12), timeout=20)
        handler.healed = True
        await pass_hours(database)
        await eventually(lambda: aside(database, 0), timeout=20)
        assert one.count("handled") + two.count("handled") == 12
    assert await effects(database) == [("failing", number) for number in range(1, 13)]


async def test_a_process_that_dies_over_a_message_defer_leaves_a_dead_letter_in_the_end(
    database: TestDatabase, queue: FifoQueue
) -> None:
    (event,) = stream("failing", 1)
    async with consumer_of(database, queue.reader(), act=Patient(), policy=HOURLY) as tested:
        await deferred(tested, queue, event)
    await execute(
        database.url,
        "UPDATE deferred_message SET starts = 3, due_at = now(), taken_until = now() - interval '1 second'",
    )
    async with consumer_of(database, queue.reader(), act=Patient(), policy=HOURLY) as tested:
        await tested.completed(event.id, "dead_letter")
    assert await rows(database, "SELECT reason FROM deferred_message") == [("process_died",)]


async def test_a_stopped_loop_ends_the_leases_of_its_messages(database: TestDatabase, queue: FifoQueue) -> None:
    (event,) = stream("failing", 1)
    async with consumer_of(database, queue.reader(), act=Patient(), policy=HOURLY) as tested:
        await deferred(tested, queue, event)
    running = asyncio.Event()

    async def hang(event: Event[Counted]) -> None:
        running.set()
        await asyncio.Event().wait()

    async with consumer_of(database, queue.reader(), act=hang, policy=HOURLY) as tested:
        await pass_hours(database)
        await asyncio.wait_for(running.wait(), 10)
        await tested.drain()
    assert await rows(database, "SELECT starts, taken_until, attempts FROM deferred_message") == [(0, None, 1)]


async def hours_until(database: TestDatabase, handler: Patient, *, calls: int) -> bool:
    await pass_hours(database)
    return len(handler.attempts) >= calls


async def aside(database: TestDatabase, count: int) -> bool:
    return len(await rows(database, ASIDE)) == count
