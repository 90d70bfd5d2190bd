"""Outbox, relay, consumer and inbox work over the other supported brokers, and lose nothing when one is killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.broker.opened import find_broker
from event_trio.consumer import ConsumerOptions, Event, Router, consume
from event_trio.errors import ConfigurationError
from event_trio.inbox import install_tables
from event_trio.testing import MemoryQueue
from services.relay.main import build
from services.relay.settings import RelaySettings
from tests.support.databases import OUTBOX_RELAY, TestDatabase, database, execute, fetch
from tests.support.other_brokers import OtherBroker, other_broker, server
from tests.support.outbox import SomethingHappened, record, unpublished
from tests.support.servers import PostgresServer
from tests.support.waiting import eventually

__all__ = ["other_broker", "server"]
GROUPS, EACH = ("a", "b", "c", "d"), 5
OPTIONS = ConsumerOptions(concurrency=4, queue_wait_seconds=1, drain_seconds=10)


@pytest.fixture
async def inbox(postgres: PostgresServer) -> AsyncIterator[TestDatabase]:
    async with database(postgres.admin_url) as made:
        connection = await asyncpg.connect(made.url)
        await install_tables(connection)
        await connection.close()
        await execute(made.url, "CREATE TABLE seen (number bigserial, subject text, sequence bigint)")
        yield made


def settings(outbox: TestDatabase, broker: OtherBroker) -> RelaySettings:
    return RelaySettings(
        database_url=outbox.url_for(OUTBOX_RELAY),
        broker=broker.module,
        broker_url=broker.server.url,
        topic=broker.topic,
        publish_check_wait_seconds=1,
        lease_seconds=3,
        call_seconds=2,
        drain_seconds=5,
    )


@asynccontextmanager
async def relaying(made: RelaySettings) -> AsyncIterator[httpx.AsyncClient]:
    """A relay in this process, with its routes."""
    app = build(made)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            yield client


@asynccontextmanager
async def consuming(inbox: TestDatabase, broker: OtherBroker) -> AsyncIterator[None]:
    """A consumer that writes down what it handles."""

    async def note(session: AsyncSession, received: Event[SomethingHappened], _: Any) -> None:
        statement = text("INSERT INTO seen (subject, sequence) VALUES (:subject, :sequence)")
        await session.execute(statement, {"subject": received.subject, "sequence": received.sequence})

    router, stopping = Router(), asyncio.Event()
    router.handle(SomethingHappened, note)
    async with broker.source() as source, asyncio.TaskGroup() as tasks:
        tasks.create_task(consume(queue=source, router=router, database=inbox.url, options=OPTIONS, stopping=stopping))
        try:
            yield
        finally:
            stopping.set()


async def seen(inbox: TestDatabase) -> dict[str, list[int]]:
    rows = await fetch(inbox.url, "SELECT subject, sequence FROM seen ORDER BY number")
    return {group: [row["sequence"] for row in rows if row["subject"] == group] for group in GROUPS}


async def test_events_are_published_and_handled_once_in_order_though_the_broker_is_killed(
    outbox_database: TestDatabase, inbox: TestDatabase, other_broker: OtherBroker
) -> None:
    events = [(group, number) for number in range(1, EACH + 1) for group in GROUPS]

    async def all_published() -> bool:
        return await unpublished(outbox_database.url) == 0

    async def all_handled() -> bool:
        return sum(map(len, (await seen(inbox)).values())) >= 2 * len(events)

    async with relaying(settings(outbox_database, other_broker)) as routes, consuming(inbox, other_broker):
        await record(outbox_database.url, events)
        await eventually(all_published, timeout=30)
        topology = (await routes.get("/v1/outbox/topology")).json()
        assert (topology["topic"]["exists"], topology["publish_check"]["exists"]) == (True, True), topology
        await other_broker.server.stop()
        await record(outbox_database.url, [(group, number + EACH) for group, number in events])
        await other_broker.server.restart()
        await eventually(all_published, timeout=60)
        await eventually(all_handled, timeout=60)
    assert await seen(inbox) == {group: list(range(1, 2 * EACH + 1)) for group in GROUPS}


async def test_a_topic_that_does_not_exist_is_named(outbox_database: TestDatabase, other_broker: OtherBroker) -> None:
    made = settings(outbox_database, other_broker).model_copy(update={"topic": "missing-events"})
    async with relaying(made) as routes:

        async def is_named() -> bool:
            topic = (await routes.get("/v1/outbox/topology")).json()["topic"]
            assert topic["exists"] is False
            return "missing-events does not exist; create the topology" in topic["problem"]

        await eventually(is_named, timeout=10)


@pytest.mark.parametrize(
    ("module", "error"), [("no.such.module", "cannot be imported"), ("event_trio.envelope", "has no function")]
)
def test_a_module_that_is_no_broker_is_named(module: str, error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        find_broker(module)


async def test_what_belongs_to_sqs_is_refused_beside_a_source() -> None:
    with pytest.raises(ConfigurationError, match="dead_letter_queue belongs to a queue of SQS"):
        await consume(queue=MemoryQueue(), router=Router(), database="postgresql://x/y", dead_letter_queue="dead")
    with pytest.raises(ConfigurationError, match="queue is an int"):
        await consume(queue=5, router=Router(), database="postgresql://x/y")  # type: ignore[arg-type]
