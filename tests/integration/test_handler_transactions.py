"""A handler writes through a session, through the driver's connection, or as data: always with the inbox row."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.clock import SystemClock
from event_trio.consumer import Writes
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.event import Event
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.outcome import Handled
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.policies import DeadLetter, Retry, Unit
from event_trio.consumer.router import Router, Stale
from event_trio.consumer.telemetry import Telemetry
from event_trio.database.connections import create_engine, limit_waits
from event_trio.errors import ConfigurationError
from event_trio.inbox.connections import InboxConnections
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, TestedConsumer, consumer_with, delivery_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.round_trips import counted_round_trips
from tests.support.waiting import eventually

INSERT = "INSERT INTO effect (event_id, subject, sequence, stale) VALUES ($1, $2, $3, $4)"
WRITE = (
    "INSERT INTO effect (event_id, subject, sequence, stale) SELECT $1, $2, $3, outcome = 'handled_stale' FROM claimed"
)


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


async def by_session(session: AsyncSession, event: Event[Counted], _: Any) -> None:
    values = {"id": event.id, "subject": event.subject, "sequence": event.sequence, "stale": event.stale}
    insert = "INSERT INTO effect (event_id, subject, sequence, stale) VALUES (:id, :subject, :sequence, :stale)"
    await session.execute(text(insert), values)


async def by_connection(connection: "asyncpg.Connection[asyncpg.Record]", event: Event[Counted], _: Any) -> None:
    await connection.execute(INSERT, event.id, event.subject, event.sequence, event.stale)


def as_data(event: Event[Counted], _: Any) -> Writes:
    return Writes({"written": WRITE}, event.id, event.subject, event.sequence)


async def nothing(event: Event[Counted]) -> None:
    """Have no effect outside the database."""


def routed(kind: str, **options: Any) -> Router:
    router = Router()
    match kind:
        case "session":
            router.handle(Counted, by_session, **options)
        case "connection":
            router.handle(Counted, by_connection, **options)
        case _:
            router.handle(Counted, writes=as_data, **options)
    return router


KINDS = ["session", "connection", "writes"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_takes_effect_once_and_in_order(kind: str, database: TestDatabase) -> None:
    queue, events = MemoryQueue(), [envelope_of(Counted(), sequence=number) for number in (1, 2, 3)]
    async with consumer_with(database, queue, routed(kind)) as tested:
        for event in (events[0], events[1], events[1], events[2]):
            queue.send(event)
        await tested.completed(events[2].id, "handled")
        assert tested.count("duplicate") == 1
    assert await effects(database) == [("subject-1", number) for number in (1, 2, 3)]
    assert {row[0] for row in await rows(database, "SELECT outcome FROM processed_message")} == {"handled"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stale_event_is_handled_as_such_or_skipped(kind: str, database: TestDatabase) -> None:
    queue, late = MemoryQueue(), envelope_of(Counted(), sequence=1)
    async with consumer_with(database, queue, routed(kind)) as tested:
        queue.send(envelope_of(Counted(), sequence=2))
        queue.send(late)
        await tested.completed(late.id, "handled_stale")
    assert await rows(database, "SELECT sequence, stale FROM effect ORDER BY id") == [(2, False), (1, True)]
    queue, later = MemoryQueue(), envelope_of(Counted(), sequence=1)
    async with consumer_with(database, queue, routed(kind, stale=Stale.SKIP)) as tested:
        queue.send(later)
        await tested.completed(later.id, "skipped_stale")
    assert len(await effects(database)) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deferred_event_is_handled_in_the_same_way(kind: str, database: TestDatabase) -> None:
    """Its later one waits behind it, and both have their effect in order."""
    failing = True

    async def act(event: Event[Counted]) -> None:
        if failing and event.sequence == 1:
            raise RuntimeError("not yet")

    queue, first, second = MemoryQueue(), *(envelope_of(Counted(), sequence=number) for number in (1, 2))
    policy = Retry(attempts=5, delay=1, unit=Unit.HOURS)
    async with consumer_with(database, queue, routed(kind, act=act, policy=policy)) as tested:
        queue.send(first)
        queue.send(second)
        await tested.completed(second.id, "deferred")
        failing = False
        await execute(database.url, "UPDATE deferred_message SET due_at = now() WHERE status = 'waiting'")
        await tested.completed(second.id, "handled")
    assert await effects(database) == [("subject-1", 1), ("subject-1", 2)]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_comes_behind_a_deferred_one_of_its_group(kind: str, database: TestDatabase) -> None:
    """Without `act` nothing looks into the inbox before the claim."""
    queue, event = MemoryQueue(), envelope_of(Counted(), sequence=2)
    await execute(
        database.url,
        "INSERT INTO processed_message (consumer, event_id, message_id, outcome) "
        "VALUES ('tested', 'earlier', 'm', 'deferred')",
        "INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, due_at, reason, blocks, "
        "envelope) VALUES ('tested', 'earlier', 'm', 'subject-1', 'waiting', now() + interval '1 hour', 'r', true, '')",
    )
    async with consumer_with(database, queue, routed(kind)) as tested:
        queue.send(event)
        await tested.completed(event.id, "deferred")
    assert await effects(database) == []
    statuses = await rows(database, "SELECT status FROM deferred_message ORDER BY id")
    assert statuses == [("waiting",), ("blocked",)]


async def test_a_handler_that_fails_before_the_claim_does_not_pass_an_earlier_event(database: TestDatabase) -> None:
    """`writes` is called before it is known that the event has to wait."""

    def fail(event: Event[Counted], _: Any) -> Writes:
        raise RuntimeError("not yet")

    router, queue = Router(), MemoryQueue()
    first, second = (envelope_of(Counted(), sequence=number) for number in (1, 2))
    router.handle(Counted, writes=fail, policy=Retry(attempts=5, delay=1, unit=Unit.HOURS))
    async with consumer_with(database, queue, router) as tested:
        queue.send(first)
        queue.send(second)
        await tested.completed(second.id, "deferred")
    statuses = await rows(database, "SELECT sequence, status FROM deferred_message ORDER BY id")
    assert statuses == [(1, "waiting"), (2, "blocked")]


@pytest.mark.parametrize(
    ("kind", "act", "most"),
    [
        ("session", False, 4),
        ("connection", False, 4),
        ("writes", False, 1),
        ("writes", True, 2),
    ],
)
async def test_the_round_trips_of_an_event(kind: str, act: bool, most: int, database: TestDatabase) -> None:
    """BEGIN, claim, the handler's statement, COMMIT; or all at once. A look comes before an `act`."""
    router = routed(kind, act=nothing if act else None)
    async with counted_round_trips(database) as counted:
        engine = limit_waits(create_engine(counted.database.url_for("notification_api"), application_name="counted"))
        sessions, clock = async_sessionmaker(engine, expire_on_commit=False), SystemClock()
        connections, breaker = InboxConnections(sessions, kept=1), DatabaseBreaker(sessions)
        telemetry = Telemetry(router, ConsumerMetrics(CollectorRegistry()), Signals(), clock)
        pipeline = Pipeline("tested", router, sessions, breaker, telemetry, clock, connections=connections)
        try:
            for number in (1, 2, 3):
                before = counted.round_trips
                assert isinstance(await pipeline.process(delivery_of(envelope_of(Counted(), sequence=number))), Handled)
            # The first event opened the connection and prepared its statements.
            assert counted.round_trips - before == most
        finally:
            await connections.close()
            await engine.dispose()


@pytest.mark.parametrize("kind", ["session", "connection"])
async def test_a_handler_that_continues_after_a_failed_statement_is_no_success(
    kind: str, database: TestDatabase
) -> None:
    """Postgres answers COMMIT with ROLLBACK then, which is no error of the driver: the event would be lost."""

    async def swallow_in_session(session: AsyncSession, event: Event[Counted], _: Any) -> None:
        await by_session(session, event, _)
        with contextlib.suppress(DBAPIError):
            await session.execute(text("SELECT 1 / 0"))

    async def swallow(connection: "asyncpg.Connection[asyncpg.Record]", event: Event[Counted], _: Any) -> None:
        await by_connection(connection, event, _)
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute("SELECT 1 / 0")

    router, queue, event = Router(), MemoryQueue(), envelope_of(Counted())
    router.handle(Counted, swallow_in_session if kind == "session" else swallow, policy=DeadLetter())
    async with consumer_with(database, queue, router) as tested:
        queue.send(event)
        await tested.completed(event.id, "dead_letter")
    assert await effects(database) == []


async def test_a_handler_that_commits_on_the_connection_is_no_success(database: TestDatabase) -> None:
    async def commit(connection: "asyncpg.Connection[asyncpg.Record]", event: Event[Counted], _: Any) -> None:
        await connection.execute("COMMIT")

    router, queue, event = Router(), MemoryQueue(), envelope_of(Counted())
    router.handle(Counted, commit, policy=DeadLetter())
    async with consumer_with(database, queue, router) as tested:
        queue.send(event)
        await eventually(lambda: _emptied(queue))
        assert tested.count("handled") == 0


async def _emptied(queue: MemoryQueue) -> bool:
    return queue.is_empty


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_died_between_two_events_costs_no_attempt(kind: str, database: TestDatabase) -> None:
    queue, events = MemoryQueue(), [envelope_of(Counted(), sequence=number) for number in (1, 2)]
    router = routed(kind, policy=DeadLetter())
    async with consumer_with(database, queue, router, kept_connections=2, poll_seconds=60.0) as tested:
        queue.send(events[0])
        await tested.completed(events[0].id, "handled")
        await _fill_pool(tested)
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tested'"
        assert await rows(database, ended)
        queue.send(events[1])
        await tested.completed(events[1].id, "handled")
        assert tested.count("unavailable") == 0
    assert len(await effects(database)) == 2


async def _fill_pool(tested: TestedConsumer) -> None:
    """Let the pool have several connections, all of which end with the one of the last event."""
    async with AsyncExitStack() as stack:
        for _ in range(3):
            session = await stack.enter_async_context(tested.sessions())
            await session.execute(text("SELECT 1"))


async def test_a_handler_that_times_out_takes_its_connection_with_it(database: TestDatabase) -> None:
    """Or a handler that does not end would write into the transaction of another event."""
    begun = asyncio.Event()

    async def hang(connection: "asyncpg.Connection[asyncpg.Record]", event: Event[Counted], _: Any) -> None:
        if event.sequence == 1:
            begun.set()
            await asyncio.Event().wait()

    router, queue = Router(), MemoryQueue()
    first, second = (envelope_of(Counted(), sequence=number) for number in (1, 2))
    router.handle(Counted, hang, policy=DeadLetter(), timeout=0.3)
    async with consumer_with(database, queue, router, kept_connections=2, poll_seconds=60.0) as tested:
        queue.send(first)
        await asyncio.wait_for(begun.wait(), 10)
        open_one = "state = 'idle in transaction' AND application_name = 'tested' AND datname = current_database()"
        [(hung,)] = await rows(database, f"SELECT pid FROM pg_stat_activity WHERE {open_one}")
        queue.send(second)
        await tested.completed(second.id, "handled")
        assert not await rows(database, "SELECT FROM pg_stat_activity WHERE pid = $1", hung)


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO effect (event_id) VALUES ($1)", "INSERT INTO effect (event_id) SELECT $1 FROM claimed_by_others"],
)
def test_a_statement_that_would_be_executed_for_every_delivery_is_refused(statement: str) -> None:
    with pytest.raises(ConfigurationError, match="claimed"):
        Writes({"written": statement}, "id")


def test_a_statement_may_read_an_earlier_one() -> None:
    first = "UPDATE t SET n = n + 1 FROM claimed WHERE id = $1 RETURNING n"
    Writes({"counted": first, "written": "INSERT INTO u SELECT n FROM counted"}, 1)
