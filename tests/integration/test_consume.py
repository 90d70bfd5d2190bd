"""One call consumes a queue that nothing else of this project knows."""

import asyncio
import json
import runpy
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.broker.aws import Aws
from event_trio.consumer import (
    ConsumerOptions,
    DeadLetter,
    Event,
    EventPayload,
    JsonDecoder,
    Router,
    UnknownTypes,
    consume,
)
from event_trio.database.connections import create_engine
from event_trio.errors import ConfigurationError
from event_trio.inbox import install_tables
from event_trio.signals import Signals
from event_trio.testing.queue_suite import event
from tests.support.databases import TestDatabase, database, execute, fetch
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.servers import PostgresServer
from tests.support.sources import ROOT
from tests.support.waiting import eventually

OPTIONS = ConsumerOptions(concurrency=2, queue_wait_seconds=1, drain_seconds=10)
SETTINGS = """
INSERT INTO seen (lock_timeout, idle_timeout, isolation)
SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
       current_setting('transaction_isolation')
"""
ACKNOWLEDGED = "consumer.acknowledged"
DEAD = "SELECT reason FROM deferred_message WHERE status = 'dead' ORDER BY reason"
OUTCOMES = "SELECT event_id, outcome FROM processed_message ORDER BY 1"
EXAMPLE = ROOT / "shared/examples/dead_letters.py"
# As the pages show it.
READ = "SELECT event_id, reason, error, convert_from(envelope, 'UTF8') FROM deferred_message WHERE status = 'dead'"
SEEN = "SELECT lock_timeout, idle_timeout, isolation FROM seen"


class Counted(EventPayload):
    """The event of the tests of queues."""

    type: ClassVar[str] = "test.counted"
    number: int


@pytest.fixture
async def inbox(postgres: PostgresServer) -> AsyncIterator[TestDatabase]:
    async with database(postgres.admin_url) as made:
        connection = await asyncpg.connect(made.url)
        await install_tables(connection)
        await connection.close()
        await execute(made.url, "CREATE TABLE seen (lock_timeout text, idle_timeout text, isolation text)")
        yield made


@pytest.fixture
async def queue(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FifoQueue]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(aws.endpoint_url))
    async with fifo_queue(aws) as made:
        yield made


def router() -> Router:
    """A handler that writes down what its connection is set to."""

    async def record(session: AsyncSession, received: Event[Counted], _: Any) -> None:
        await session.execute(text(SETTINGS))

    made = Router()
    made.handle(Counted, record)
    return made


@asynccontextmanager
async def consuming(start: Callable[[Signals, asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[Signals]:
    """A consumer that is stopped at the end; what it raised is raised."""
    signals, stopping = Signals(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(start(signals, stopping))
        try:
            yield signals
        finally:
            stopping.set()


async def test_an_event_takes_effect_once_on_connections_with_limits(inbox: TestDatabase, queue: FifoQueue) -> None:
    await execute(inbox.url, f'ALTER DATABASE "{inbox.name}" SET default_transaction_isolation = "repeatable read"')
    sent = event("a", 1)
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.name,
            router=router(),
            database=inbox.url,
            options=OPTIONS,
            signals=signals,
            stopping=stopping,
        )
    ) as signals:
        await queue.send(sent)
        await queue.send(sent, again=1)
        await signals.wait(ACKNOWLEDGED, count=2, timeout=60)
    assert [tuple(row) for row in await fetch(inbox.url, SEEN)] == [("5s", "30s", "read committed")]
    assert [row["consumer"] for row in await fetch(inbox.url, "SELECT consumer FROM processed_message")] == [
        queue.name.removesuffix(".fifo")
    ]


async def test_a_queue_by_its_url_and_an_engine_of_the_caller_s(inbox: TestDatabase, queue: FifoQueue) -> None:
    engine = create_engine(inbox.url, application_name="test")
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.url,
            router=router(),
            database=engine,
            consumer="mailer",
            options=OPTIONS,
            signals=signals,
            stopping=stopping,
        )
    ) as signals:
        await queue.send(event("a", 1))
        await signals.wait(ACKNOWLEDGED, timeout=60)
    async with engine.connect() as connection:
        consumers = await connection.execute(text("SELECT consumer FROM processed_message"))
        assert consumers.scalars().all() == ["mailer"]
    await engine.dispose()


async def test_a_stricter_limit_of_the_role_stays(inbox: TestDatabase, queue: FifoQueue) -> None:
    await execute(inbox.url, f"ALTER DATABASE \"{inbox.name}\" SET lock_timeout = '2s'")
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.name,
            router=router(),
            database=inbox.url,
            options=OPTIONS,
            signals=signals,
            stopping=stopping,
        )
    ) as signals:
        await queue.send(event("a", 1))
        await signals.wait(ACKNOWLEDGED, timeout=60)
    assert [tuple(row) for row in await fetch(inbox.url, SEEN)] == [("2s", "30s", "read committed")]


async def test_a_queue_of_plain_json_whose_unknown_types_are_ignored(inbox: TestDatabase, queue: FifoQueue) -> None:
    decoder = JsonDecoder(type="kind", id="key")
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.name,
            router=router(),
            database=inbox.url,
            decoder=decoder,
            unknown_types=UnknownTypes.IGNORE,
            options=OPTIONS,
            signals=signals,
            stopping=stopping,
        )
    ) as signals:
        for kind, key in (("test.counted", "k1"), ("test.counted", "k1"), ("test.unknown", "k2")):
            await queue.send_body(json.dumps({"kind": kind, "key": key, "number": 1}))
        await signals.wait(ACKNOWLEDGED, count=3, timeout=60)
    assert len(await fetch(inbox.url, SEEN)) == 1
    outcomes = await fetch(inbox.url, OUTCOMES)
    assert [tuple(row) for row in outcomes] == [("k1", "handled"), ("k2", "ignored")]


async def test_dead_letters_are_redriven_and_discarded_as_the_guide_shows(
    inbox: TestDatabase, queue: FifoQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = True

    async def record(session: AsyncSession, received: Event[Counted], _: Any) -> None:
        if broken:
            raise ValueError("the template is broken")

    routes = Router()
    routes.handle(Counted, record, policy=DeadLetter())
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.name,
            router=routes,
            database=inbox.url,
            consumer="mailer-shop-events",
            decoder=JsonDecoder(type="kind", id="key"),
            options=OPTIONS,
            signals=signals,
            stopping=stopping,
        )
    ) as signals:
        for kind, key in (("test.counted", "k1"), ("test.unknown", "k2")):
            await queue.send_body(json.dumps({"kind": kind, "key": key, "number": 1}))
        await signals.wait(ACKNOWLEDGED, count=2, timeout=60)
        assert [row["reason"] for row in await fetch(inbox.url, DEAD)] == ["failed", "unknown_type"]
        assert {json.loads(row["convert_from"])["key"] for row in await fetch(inbox.url, READ)} == {"k1", "k2"}

        broken = False
        monkeypatch.setenv("DATABASE_URL", inbox.url)
        await runpy.run_path(str(EXAMPLE))["main"]()

        async def resolved() -> bool:
            outcomes = [tuple(row) for row in await fetch(inbox.url, OUTCOMES)]
            return outcomes == [("k1", "handled"), ("k2", "discarded")]

        await eventually(resolved, timeout=60)
    assert "k1 test.counted failed" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["shared/README.md", "docs/how-to/use-it-in-your-project.md"])
def test_the_pages_show_the_example_that_the_test_runs(page: str) -> None:
    shown = (ROOT / page).read_text(encoding="utf-8")
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```" in shown
    assert READ in shown


async def test_tables_of_an_older_version_are_reported_before_a_message_is_received(
    queue: FifoQueue, postgres: PostgresServer
) -> None:
    async with database(postgres.admin_url) as old:
        connection = await asyncpg.connect(old.url)
        await install_tables(connection, version=3)
        await connection.close()
        with pytest.raises(ConfigurationError, match=r"have version 3, .* run `event_trio.inbox.install_tables`"):
            await consume(queue=queue.name, router=router(), database=old.url, options=OPTIONS)


async def test_a_database_that_does_not_answer_is_waited_for(queue: FifoQueue) -> None:
    absent = "postgresql://nobody@127.0.0.1:1/nowhere"
    async with consuming(
        lambda signals, stopping: consume(
            queue=queue.name, router=router(), database=absent, options=OPTIONS, signals=signals, stopping=stopping
        )
    ):
        await asyncio.sleep(0)
