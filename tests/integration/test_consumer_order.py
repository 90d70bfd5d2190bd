"""Order within groups, and its exceptions: stale events, possibly poisonous messages."""

from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws
from event_trio.consumer.errors import Reject
from event_trio.consumer.event import Event
from event_trio.consumer.router import Stale
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from tests.support.consuming import Counted, completed, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.waiting import eventually

MARKS = "SELECT event_id, starts FROM started_message"


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


async def test_two_instances_with_failures_keep_every_group_in_order(database: TestDatabase, queue: FifoQueue) -> None:
    subjects = [f"order-{number}" for number in range(12)]
    events = [envelope_of(Counted(), subject=subject, sequence=n) for n in range(1, 9) for subject in subjects]
    failed: set[object] = set()

    async def fail_once(event: Event[Counted]) -> None:
        if event.envelope.sequence_number % 3 == 0 and event.id not in failed:
            failed.add(event.id)
            raise RuntimeError("once")

    limits = Limits(concurrency=4, capacity=40, polling=Polling(wait_seconds=1, visibility_seconds=10))
    async with (
        consumer_of(database, queue.reader(), after=fail_once, limits=limits) as first,
        consumer_of(database, queue.reader(), after=fail_once, limits=limits) as second,
    ):
        for event in events:
            await queue.send(event)
        await completed(first, second, messages=len(events))
        await eventually(queue.is_empty)
        assert first.count("handled") + second.count("handled") == len(events)
    found = await effects(database)
    assert len(found) == len(events)
    for subject in subjects:
        assert [sequence for name, sequence in found if name == subject] == list(range(1, 9))
    assert await rows(database, "SELECT 1 FROM effect WHERE stale") == []


async def test_an_event_after_a_later_one_is_marked_stale(database: TestDatabase, queue: FifoQueue) -> None:
    late, early = envelope_of(Counted(), sequence=1), envelope_of(Counted(), sequence=2)
    async with consumer_of(database, queue.reader()) as tested:
        await queue.send(early)
        await tested.completed(early.id, "handled")
        await queue.send(late)
        await tested.completed(late.id, "handled_stale")
    assert await rows(database, "SELECT sequence, stale FROM effect ORDER BY id") == [(2, False), (1, True)]


async def test_where_the_latest_state_wins_a_stale_event_is_skipped(database: TestDatabase, queue: FifoQueue) -> None:
    late, early = envelope_of(Counted(), sequence=1), envelope_of(Counted(), sequence=2)
    acted: list[object] = []

    async def act(event: Event[Counted]) -> None:
        acted.append(event.envelope.id)

    async with consumer_of(database, queue.reader(), act=act, stale=Stale.SKIP) as tested:
        await queue.send(early)
        await tested.completed(early.id, "handled")
        await queue.send(late)
        await tested.completed(late.id, "skipped_stale")
        await queue.send(late, again=1)
        await tested.completed(late.id, "duplicate")
    assert acted == [early.id]
    assert await effects(database) == [("subject-1", 2)]


async def test_a_dead_letter_makes_nothing_stale(database: TestDatabase, queue: FifoQueue) -> None:
    """Only handled events count: a later event that was deferred makes no other stale."""
    late, deferred = envelope_of(Counted(), sequence=1), envelope_of(Counted(), sequence=2)

    async def reject(event: Event[Counted]) -> None:
        if event.envelope.id == deferred.id:
            raise Reject("no")

    async with consumer_of(database, queue.reader(), act=reject) as tested:
        await queue.send(deferred)
        await tested.completed(deferred.id, "dead_letter")
        await queue.send(late)
        await tested.completed(late.id, "handled")


async def deliver_in_vain(queue: FifoQueue, times: int) -> None:
    """Receive what there is without handling it, as a consumer does that dies each time."""
    for _ in range(times):
        answer = await queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        for message in answer["Messages"]:
            await queue.client.change_message_visibility(
                QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )


async def test_an_event_over_which_processes_died_is_a_dead_letter(database: TestDatabase, queue: FifoQueue) -> None:
    killer, following = (envelope_of(Counted(), sequence=number) for number in (1, 2))
    await execute(
        database.url, f"INSERT INTO started_message (consumer, event_id, starts) VALUES ('tested', '{killer.id}', 3)"
    )
    await queue.send(killer)
    await deliver_in_vain(queue, 2)
    async with consumer_of(database, queue.reader()) as tested:
        await queue.send(following)
        await tested.completed(killer.id, "dead_letter")
        await tested.completed(following.id, "handled")
    assert await rows(database, "SELECT reason FROM deferred_message") == [("process_died",)]
    assert await rows(database, MARKS) == []
    assert await effects(database) == [("subject-1", 2)]
