"""Dead letters are redriven in the order of their group or discarded; dead-letter queues are drained."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.aws import Aws
from event_trio.consumer.event import Event
from event_trio.consumer.maintenance import InboxMaintenance
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.policies import DeadLetter, Rest
from event_trio.consumer.sources.dead_letter_queues import DeadLetterQueueDrain
from event_trio.envelope import Envelope
from event_trio.inbox.dead_letters import By, DeadLetters, Selection
from tests.support.consuming import CONSUMER, Counted, TestedConsumer, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue

BY = By("olga", "the carrier is back")
DEAD = DeadLetter()
ALL = Selection()


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


class Switch:
    """A handler that fails for the given sequences while it is disabled."""

    def __init__(self, *failing: int) -> None:
        self.on = False
        self._failing = failing

    async def __call__(self, event: Event[Counted]) -> None:
        if not self.on and event.envelope.sequence_number in self._failing:
            raise RuntimeError("off")


def stream(subject: str, count: int) -> list[Envelope]:
    return [envelope_of(Counted(), subject=subject, sequence=number + 1) for number in range(count)]


async def sent(tested: TestedConsumer, queue: FifoQueue, *events: tuple[Envelope, str]) -> None:
    for event, _ in events:
        await queue.send(event)
    for event, outcome in events:
        await tested.completed(event.id, outcome)


async def test_redrive_keeps_the_order_of_a_group_while_new_events_arrive(
    database: TestDatabase, queue: FifoQueue
) -> None:
    switch = Switch(1, 2, 3)
    events = stream("a", 8)
    async with consumer_of(database, queue.reader(), act=switch, policy=DEAD) as tested:
        await sent(tested, queue, *((event, "dead_letter") for event in events[:3]), (events[3], "handled"))
        switch.on = True
        letters = DeadLetters(tested.sessions, CONSUMER)
        sending = asyncio.create_task(sent(tested, queue, *((event, "handled") for event in events[4:])))
        redriven = await letters.redrive(ALL, BY, per_second=None)
        assert [row.event_id for row in redriven] == [str(event.id) for event in events[:3]]
        for event in events[:3]:
            await tested.completed(event.id, "handled_stale")
        await sending
    found = [sequence for _, sequence in await effects(database)]
    assert sorted(found) == list(range(1, 9))
    assert [number for number in found if number <= 3] == [1, 2, 3]
    assert [number for number in found if number > 3] == [4, 5, 6, 7, 8]
    assert await rows(database, "SELECT count(*) FROM deferred_message") == [(0,)]
    traced = await rows(database, "SELECT event_id, action, actor, reason, attempts FROM operator_action ORDER BY id")
    assert traced == [(str(event.id), "redrive", "olga", BY.reason, 1) for event in events[:3]]


async def test_a_message_that_fails_again_is_a_dead_letter_again(database: TestDatabase, queue: FifoQueue) -> None:
    (event,) = stream("a", 1)
    async with consumer_of(database, queue.reader(), act=Switch(1), policy=DEAD) as tested:
        await sent(tested, queue, (event, "dead_letter"))
        await DeadLetters(tested.sessions, CONSUMER).redrive(ALL, BY, per_second=None)
        await tested.signals.wait(
            "consumer.completed", where=lambda facts: facts["outcome"] == "dead_letter", count=2, timeout=20
        )
    assert await rows(database, "SELECT status, attempts FROM deferred_message") == [("dead", 1)]
    assert await rows(database, "SELECT outcome FROM processed_message") == [("dead_letter",)]


async def test_a_redrive_has_a_filter_a_limit_and_a_rate(database: TestDatabase, queue: FifoQueue) -> None:
    events = [*stream("a", 4), *stream("b", 2)]
    async with consumer_of(database, queue.reader(), act=Switch(1, 2, 3, 4), policy=DEAD) as tested:
        await sent(tested, queue, *((event, "dead_letter") for event in events))
        letters = DeadLetters(tested.sessions, CONSUMER)
        assert len(await letters.oldest(Selection(group="a"), limit=3)) == 3
        assert await letters.redrive(Selection(reason="timeout"), BY, per_second=None) == []
        assert len(await letters.redrive(Selection(group="a"), BY, per_second=0.01, limit=3)) == 3
    due = await rows(
        database,
        "SELECT sequence, round(extract(epoch FROM due_at - min(due_at) OVER ()))::int FROM deferred_message"
        " WHERE status = 'waiting' ORDER BY id",
    )
    assert [seconds for _, seconds in due] in ([0, 100, 200], [0, 100])
    assert await rows(database, "SELECT count(*) FROM operator_action") == [(3,)]


async def test_a_discard_unblocks_the_messages_that_wait_for_it(database: TestDatabase, queue: FifoQueue) -> None:
    first, second, third = stream("a", 3)
    holding = DeadLetter(Rest.WAIT)
    async with consumer_of(database, queue.reader(), act=Switch(1), policy=holding) as tested:
        await sent(tested, queue, (first, "dead_letter"), (second, "deferred"), (third, "deferred"))
        await DeadLetters(tested.sessions, CONSUMER).discard(Selection(event_id=str(first.id)), BY)
        await tested.completed(third.id, "handled")
        await queue.send(first, again=1)
        await tested.completed(first.id, "duplicate")
    assert await effects(database) == [("a", 2), ("a", 3)]
    outcomes = await rows(database, "SELECT outcome FROM processed_message ORDER BY sequence")
    assert outcomes == [("discarded",), ("handled",), ("handled",)]
    assert await rows(database, "SELECT action, attempts FROM operator_action") == [("discard", 1)]


async def test_dead_letter_queues_are_drained_into_the_same_table(database: TestDatabase, queue: FifoQueue) -> None:
    known, lost = stream("a", 2)
    async with consumer_of(database, queue.reader()) as tested:
        await sent(tested, queue, (known, "handled"))
        await tested.drain()
        drain = DeadLetterQueueDrain(
            "drain",
            CONSUMER,
            queue.reader(),
            tested.sessions,
            ConsumerMetrics(CollectorRegistry()),
            tested.signals,
            reason="received_too_often",
            wait_seconds=1,
        )
        await queue.send(known, again=1)
        await queue.send(lost)
        unreadable = await queue.send_body("{not json", group="b")
        while not await queue.is_empty():
            await drain.drain()
    found = await rows(database, "SELECT event_id, message_group, status, reason FROM deferred_message ORDER BY 2")
    assert found == [
        (str(lost.id), "a", "dead", "received_too_often"),
        (unreadable, "b", "dead", "received_too_often"),
    ]
    assert await effects(database) == [("a", 1)]


async def test_count_and_age_are_metrics(database: TestDatabase, queue: FifoQueue) -> None:
    async with consumer_of(database, queue.reader(), act=Switch(1), policy=DEAD) as tested:
        (event,) = stream("a", 1)
        await sent(tested, queue, (event, "dead_letter"))
        registry = CollectorRegistry()
        metrics = ConsumerMetrics(registry)
        await InboxMaintenance(CONSUMER, tested.sessions, metrics, tested.signals, retention_hours=48).measure()
    assert registry.get_sample_value("consumer_deferred_messages", {"status": "dead"}) == 1
    assert registry.get_sample_value("consumer_deferred_messages", {"status": "waiting"}) == 0
    assert (registry.get_sample_value("consumer_deferred_oldest_seconds", {"status": "dead"}) or 0) > 0
