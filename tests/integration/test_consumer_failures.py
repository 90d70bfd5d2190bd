"""A failing event holds up its own group and no other, and ends as a dead letter with a reason."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from event_trio.backoff import Backoff
from event_trio.broker.aws import Aws
from event_trio.consumer.errors import Reject
from event_trio.consumer.event import Event
from event_trio.consumer.policies import RetryInPlace
from event_trio.envelope import Envelope
from tests.support.consuming import CONSUMER, Counted, completed, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.waiting import eventually

DEAD = "SELECT event_id, message_id, message_group, subject, sequence, status, reason, attempts FROM deferred_message"
BRIEF = RetryInPlace(within=0.5, backoff=Backoff(first=0.1, factor=1.0, cap=0.1, jitter=0.0))


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


NEARLY_ALL = 2.4
"""Seconds of a handler that may take one: how long it takes is what is tested."""


def stream(subject: str, count: int) -> list[Envelope]:
    return [envelope_of(Counted(), subject=subject, sequence=number + 1) for number in range(count)]


async def test_a_handler_that_used_up_its_time_is_not_excused_by_the_database(
    database: TestDatabase, queue: FifoQueue
) -> None:
    """Or an act that always takes nearly all of its time would be repeated for ever, and stop all others each time."""
    [event] = stream("slow", 1)
    acted: list[object] = []
    blocker = await asyncpg.connect(database.url)
    loop = asyncio.get_running_loop()

    async def take_nearly_all(event: Event[Counted]) -> None:
        acted.append(event.envelope.id)
        if len(acted) == 1:
            group = f"{CONSUMER}\x1f{event.envelope.partitionkey}"
            await blocker.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", group)
            loop.call_later(4.5, blocker.terminate)
        await asyncio.sleep(NEARLY_ALL)

    try:
        async with consumer_of(database, queue.reader(), act=take_nearly_all, policy=BRIEF, timeout=3.0) as tested:
            await queue.send(event)
            await completed(tested, messages=1)
            await eventually(queue.is_empty)
    finally:
        blocker.terminate()
    assert acted == [event.id]
    assert await rows(database, "SELECT reason, attempts FROM deferred_message") == [("timeout", 1)]


async def test_a_failing_event_holds_only_its_own_group(database: TestDatabase, queue: FifoQueue) -> None:
    healed = asyncio.Event()
    attempts: list[int] = []

    async def fail_until_healed(event: Event[Counted]) -> None:
        if event.envelope.subject == "failing" and event.envelope.sequence_number == 1:
            attempts.append(event.attempt)
            if not healed.is_set():
                raise RuntimeError("not yet")

    async with consumer_of(database, queue.reader(), act=fail_until_healed) as tested:
        for event in (*stream("failing", 3), *stream("sound", 3), *stream("well", 3)):
            await queue.send(event)
        await eventually(lambda: holds(tested.count("handled") == 6))
        await tested.signals.wait("consumer.postponed", count=3)
        assert "failing" not in {subject for subject, _ in await effects(database)}
        healed.set()
        # Not until the queue is empty: it does not count messages of a group that is in flight.
        await eventually(lambda: holds(tested.count("handled") == 9))
    assert [pair for pair in await effects(database) if pair[0] == "failing"] == [("failing", n) for n in (1, 2, 3)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert await rows(database, DEAD) == []


async def test_an_event_that_fails_for_too_long_is_a_dead_letter_and_its_group_continues(
    database: TestDatabase, queue: FifoQueue
) -> None:
    first, second = stream("order-1", 2)

    async def fail_first(event: Event[Counted]) -> None:
        if event.envelope.id == first.id:
            raise RuntimeError("never")

    async with consumer_of(database, queue.reader(), after=fail_first, policy=BRIEF) as tested:
        await queue.send(first)
        await queue.send(second)
        await tested.completed(first.id, "dead_letter")
        await tested.completed(second.id, "handled")
        await eventually(queue.is_empty)
    assert await effects(database) == [("order-1", 2)]
    [(event_id, _, group, subject, sequence, status, reason, attempts)] = await rows(database, DEAD)
    assert (event_id, group, subject, sequence, status) == (str(first.id), "order-1", "order-1", 1, "dead")
    assert reason == "failed"
    assert attempts > 1
    [(envelope, error)] = await rows(database, "SELECT envelope, error FROM deferred_message")
    assert Envelope.parse(envelope) == first
    assert error == "RuntimeError: never"
    outcomes = await rows(database, "SELECT outcome FROM processed_message ORDER BY sequence")
    assert outcomes == [("dead_letter",), ("handled",)]


async def test_a_handler_can_reject_and_can_take_too_long(database: TestDatabase, queue: FifoQueue) -> None:
    rejected, slow = *stream("a", 1), *stream("b", 1)

    async def judge(event: Event[Counted]) -> None:
        if event.envelope.id == rejected.id:
            raise Reject("not for me")
        await asyncio.Event().wait()

    brief = RetryInPlace(within=0.2, backoff=Backoff(first=0.1, factor=1.0, cap=0.1, jitter=0.0))
    async with consumer_of(database, queue.reader(), act=judge, policy=brief, timeout=0.3) as tested:
        await queue.send(rejected)
        await queue.send(slow)
        await tested.completed(rejected.id, "dead_letter")
        await tested.completed(slow.id, "dead_letter")
    found = await rows(database, "SELECT reason, error, attempts FROM deferred_message ORDER BY subject")
    assert found == [("rejected", "not for me", 0), ("timeout", "the handler took longer than 0.3 s", 1)]


def unreadable(name: str) -> str:
    """Bodies that are no events, some only just."""
    fields = json.loads(envelope_of(Counted()).to_bytes())
    bodies = {
        "no json": "{not json",
        "no event": json.dumps({"hello": "world"}),
        "a character that Postgres cannot keep": json.dumps({**fields, "subject": "a\x00b"}),
        "a sequence that Postgres cannot keep": json.dumps({**fields, "sequence": "9" * 20}),
        "a time that is none in UTC": json.dumps({**fields, "time": "0001-01-01T00:00:00+14:00"}),
    }
    return bodies[name]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no json", "not an event envelope"),
        ("no event", "not an event envelope"),
        ("a character that Postgres cannot keep", "the character U+0000 "),
        ("a sequence that Postgres cannot keep", "the sequence is too l"),
        ("a time that is none in UTC", "the time cannot be ex"),
    ],
)
async def test_an_unreadable_body_is_a_dead_letter_and_blocks_nothing(
    name: str, error: str, database: TestDatabase, queue: FifoQueue
) -> None:
    event = envelope_of(Counted(), subject="group-1")
    async with consumer_of(database, queue.reader()) as tested:
        message_id = await queue.send_body(unreadable(name), group="group-1")
        await queue.send(event)
        await tested.completed(message_id, "dead_letter")
        await tested.completed(event.id, "handled")
        await eventually(queue.is_empty)
    assert await rows(database, DEAD) == [(message_id, message_id, "group-1", None, None, "dead", "unreadable", 0)]
    [(envelope,)] = await rows(database, "SELECT envelope FROM deferred_message")
    assert envelope.decode() == unreadable(name) or name.startswith("a ")
    assert (error,) in await rows(database, "SELECT left(error, 21) FROM deferred_message")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "test.unheard"}, "unknown_type"),
        ({"dataschema": "https://schemas.example.com/test.counted/2"}, "unknown_version"),
        ({"data": {"number": "many"}}, "invalid_payload"),
        ({"data": None, "dataref": "http://127.0.0.1/payload"}, "invalid_payload"),
    ],
)
async def test_an_event_that_no_handler_takes_is_a_dead_letter_at_once(
    fields: dict[str, Any], reason: str, database: TestDatabase, queue: FifoQueue
) -> None:
    strange = envelope_of(Counted(), **fields)
    following = envelope_of(Counted(), sequence=2)
    async with consumer_of(database, queue.reader()) as tested:
        await queue.send(strange)
        await queue.send(following)
        await tested.completed(strange.id, "dead_letter")
        await tested.completed(following.id, "handled")
    [row] = await rows(database, "SELECT event_id, reason, attempts, type FROM deferred_message")
    assert row == (str(strange.id), reason, 0, strange.type)
    assert await effects(database) == [("subject-1", 2)]


async def test_an_event_that_no_index_takes_is_a_dead_letter_without_its_particulars(
    database: TestDatabase, queue: FifoQueue
) -> None:
    """A source too long for an index entry fails every transaction that names it, that of the dead letter too."""
    noise = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(2000))
    strange, following = envelope_of(Counted(), source=noise), envelope_of(Counted(), sequence=2)
    async with consumer_of(database, queue.reader(), policy=BRIEF) as tested:
        await queue.send(strange)
        await queue.send(following)
        await tested.completed(strange.id, "dead_letter")
        await tested.completed(following.id, "handled")
    assert await rows(database, "SELECT event_id, source, reason FROM deferred_message") == [
        (str(strange.id), None, "failed")
    ]


async def holds(condition: bool) -> bool:
    return condition
