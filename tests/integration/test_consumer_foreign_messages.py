"""Messages of another system: plain JSON with attributes, in any order, with types that nobody declared."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.broker.aws import Aws
from event_trio.broker.queue import Message
from event_trio.consumer.decoders import JsonDecoder
from event_trio.consumer.delivery import QueueDelivery, commit_deferred
from event_trio.consumer.event import Event
from event_trio.consumer.policies import DeadLetter, UnknownTypes
from event_trio.consumer.router import Router
from event_trio.database.connections import create_engine
from event_trio.inbox.delivery import DecodedMessage
from event_trio.inbox.states import DeferredState, Status
from tests.support.consuming import QUICK, Counted, consumer_with, effects, make_effects, rows
from tests.support.databases import TestDatabase
from tests.support.fifo import FifoQueue, fifo_queue

DECODER = JsonDecoder(id="key", subject="customer", payload="body")


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


def router_of(failing: set[int]) -> Router:
    async def record(session: AsyncSession, event: Event[Counted], _: Any) -> None:
        if event.payload.number in failing:
            failing.remove(event.payload.number)
            raise RuntimeError("not yet")
        await session.execute(
            text("INSERT INTO effect (event_id, subject, sequence, stale) VALUES (:id, :subject, :number, :stale)"),
            {"id": event.id, "subject": event.subject, "number": event.payload.number, "stale": event.stale},
        )

    router = Router()
    router.handle(Counted, record, policy=QUICK)
    return router


def order(number: int, key: str, type: str = Counted.type) -> str:
    return json.dumps({"type": type, "key": key, "customer": "c-1", "body": {"number": number}})


async def test_a_message_has_its_effect_once_under_its_own_key(database: TestDatabase, queue: FifoQueue) -> None:
    async with consumer_with(database, queue.reader(), router_of({1}), decoder=DECODER) as tested:
        for number, key in ((1, "a"), (2, "b"), (1, "a")):
            await queue.send_body(order(number, key), group="group-1")
        await tested.completed("a", "duplicate")
    assert await effects(database) == [("c-1", 1), ("c-1", 2)], "in order, the repetition without effect"
    assert await rows(database, "SELECT DISTINCT stale FROM effect") == [(False,)], "without a sequence none is stale"


async def test_a_message_without_a_key_has_that_of_sqs(database: TestDatabase, queue: FifoQueue) -> None:
    async with consumer_with(database, queue.reader(), router_of(set()), decoder=JsonDecoder()) as tested:
        body = json.dumps({"type": Counted.type, "number": 1})
        message_id = await queue.send_body(body, group="group-1")
        await tested.completed(message_id, "handled")


@pytest.mark.parametrize(
    ("unknown_types", "outcome", "letters"),
    [(UnknownTypes.DEAD_LETTER, "dead_letter", [("unknown_type",)]), (UnknownTypes.IGNORE, "ignored", [])],
)
async def test_an_unknown_type_is_a_dead_letter_or_ignored(
    database: TestDatabase, queue: FifoQueue, unknown_types: UnknownTypes, outcome: str, letters: list[tuple[str]]
) -> None:
    router = router_of(set())
    async with consumer_with(database, queue.reader(), router, decoder=DECODER, unknown_types=unknown_types) as tested:
        await queue.send_body(order(1, "a", type="order.unheard"), group="group-1")
        await queue.send_body(order(2, "b"), group="group-1")
        await asyncio.gather(tested.completed("a", outcome), tested.completed("b", "handled"))
    assert await rows(database, "SELECT outcome FROM processed_message WHERE event_id = 'a'") == [(outcome,)]
    assert await rows(database, "SELECT reason FROM deferred_message") == letters


@pytest.mark.parametrize("key", ["a\ud800", "".join(f"{number:05d}" for number in range(2000))])
async def test_a_key_that_cannot_be_stored_is_a_dead_letter_and_blocks_nothing(
    key: str, database: TestDatabase, queue: FifoQueue
) -> None:
    async with consumer_with(database, queue.reader(), router_of(set()), decoder=DECODER) as tested:
        message_id = await queue.send_body(order(1, key), group="group-1")
        await queue.send_body(order(2, "b"), group="group-1")
        await asyncio.gather(tested.completed(message_id, "dead_letter"), tested.completed("b", "handled"))
    assert await rows(database, "SELECT event_id, reason FROM deferred_message") == [(message_id, "unreadable")]


async def test_an_error_with_any_text_is_stored(database: TestDatabase, queue: FifoQueue) -> None:
    async def record(session: AsyncSession, event: Event[Counted], _: Any) -> None:
        raise RuntimeError("half a character: \ud800")

    router = Router()
    router.handle(Counted, record, policy=DeadLetter())
    async with consumer_with(database, queue.reader(), router, decoder=DECODER) as tested:
        await queue.send_body(order(1, "a"), group="group-1")
        await tested.completed("a", "dead_letter")
    assert await rows(database, "SELECT error FROM deferred_message") == [("RuntimeError: half a character: \\ud800",)]


async def test_a_delivery_that_cannot_be_stored_at_all_has_the_key_of_sqs(database: TestDatabase) -> None:
    """The last resort for keys that a decoder should not have returned."""
    delivery = QueueDelivery.of(Message("m-1", "receipt", "{}", "g", "", "1", 1, datetime.now(UTC)), "tested")
    delivery.accept(DecodedMessage(id="a\ud800", type="t"))
    engine = create_engine(database.url, application_name="test")
    state = DeferredState(Status.DEAD, "failed", "an error")
    await commit_deferred(async_sessionmaker(engine), delivery, state)
    await engine.dispose()
    assert await rows(database, "SELECT event_id, message_group FROM deferred_message") == [("m-1", "g")]
