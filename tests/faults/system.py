"""The system under test: order service, two relays and two consumers, with proxies between them and their servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.database.connections import connect
from event_trio.inbox import install_tables
from infra import manifest
from infra.deploy import delete, deploy
from infra.localstack.watch import TopologyWatch
from tests.faults.actors import Actor, Orchestrator
from tests.faults.artefacts import AWS_SECRET, with_password
from tests.faults.proxies.broker import BrokerProxy, broker_proxy
from tests.faults.proxies.postgres import PostgresProxy, postgres_proxy
from tests.faults.readers import Reader
from tests.faults.recording import Recorder
from tests.support import databases, wal_source
from tests.support.databases import TestDatabase
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.postgres import EmbeddedPostgres

SINK = "sink-order-events"
CONSUMER_VISIBILITY_SECONDS = 10
"""A message that a killed consumer had received is delivered again after this time."""
CHECK_VISIBILITY_SECONDS = 5
"""The same for the publish check, of which relays receive with 30 s. Only deletes depend on this time, and late ones
are harmless. The rules of the sweeper begin after 60 s."""
WATCH_SECONDS = 2.0
"""A broker that was lost is found and restored after this time."""
CREDENTIALS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}
EFFECTS = """
CREATE TABLE effect (
    id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_id text, subject text, sequence bigint, hash text, correlation text, stale boolean
)
"""


@dataclass
class Servers:
    """The servers of a suite: a Postgres and a LocalStack, which faults may stop."""

    postgres: EmbeddedPostgres
    localstack: EmbeddedLocalStack
    templates: list[Path]
    orders_template: str
    logs: list[Path]


@dataclass
class System:
    """One system, and the places where faults can be injected."""

    servers: Servers
    folder: Path
    orders: TestDatabase
    sink: TestDatabase
    names: BrokerNames
    aws: Aws
    order_database: PostgresProxy
    relay_database: PostgresProxy
    sink_database: PostgresProxy
    relay_broker: BrokerProxy
    sink_broker: BrokerProxy
    topology: TopologyWatch
    orders_rows: Reader
    sink_rows: Reader
    first_event: int = 0
    """The newest id in the outbox when the run began; its own events have greater ones."""
    first_effect: int = 0
    """The same of the effects."""
    order: Actor = field(init=False)
    relays: list[Actor] = field(init=False)
    consumers: list[Actor] = field(init=False)
    orchestrator: Orchestrator = field(init=False)

    def __post_init__(self) -> None:
        self.order = Actor("order", "services.order.main", self._order(), self.folder)
        self.relays = [
            Actor(f"relay-{n}", "services.relay.main", self._relay(), self.folder) for n in (1, 2)
        ]  # fmt: skip
        self.consumers = [
            Actor(f"consumer-{n}", "tests.faults.processes.sink", self._sink(n), self.folder, serves=False)
            for n in (1, 2)
        ]
        self.control("{}")
        self.orchestrator = Orchestrator([self.order, *self.relays, *self.consumers])

    @property
    def actors(self) -> list[Actor]:
        """All processes."""
        return self.orchestrator.actors

    def control(self, text: str) -> None:
        """Tell the consumers' handlers how to behave."""
        path = self.folder / "control.json"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    def clear(self) -> None:
        """Let every proxy forward everything, and handlers behave."""
        for proxy in (self.order_database, self.relay_database, self.sink_database):
            proxy.clear()
        for broker in (self.relay_broker, self.sink_broker):
            broker.clear()
        self.control("{}")

    async def close_readers(self) -> None:
        """Leave the databases, as some statements demand."""
        await asyncio.gather(self.orders_rows.close(), self.sink_rows.close())

    def _common(self, database: TestDatabase, role: str, endpoint: str) -> dict[str, str]:
        return {
            "ENVIRONMENT": "local",
            "LOG_FORMAT": "json",
            "DATABASE_URL": with_password(database.url_for(role)),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint,
            "TOPOLOGY_PREFIX": self.names.prefix,
            "DRAIN_SECONDS": "5",
        }

    def _order(self) -> dict[str, str]:
        common = self._common(self.order_database.database, "order_api", self.servers.localstack.endpoint_url)
        return {**common, "CONSUMING": "false"}

    def _relay(self) -> dict[str, str]:
        common = self._common(self.relay_database.database, "order_relay", self.relay_broker.url)
        return {
            **common,
            "TOPIC": "order-events",
            "LEASE_SECONDS": "3",
            "CALL_SECONDS": "1",
            "PUBLISH_CHECK_WAIT_SECONDS": "1",
            **wal_source.environment(common["DATABASE_URL"]),
        }

    def _sink(self, number: int) -> dict[str, str]:
        return {
            "ENVIRONMENT": "local",
            "DATABASE_URL": with_password(self.sink_database.database.url),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.sink_broker.url,
            "SINK_QUEUE": f"{self.names.prefix}{SINK}.fifo",
            "SINK_VISIBILITY_SECONDS": str(CONSUMER_VISIBILITY_SECONDS),
            "SINK_CONTROL": str(self.folder / "control.json"),
            "SINK_OUTSIDE": str(self.folder / f"outside-{number}.jsonl"),
            "SINK_TASKS": str(self.folder / f"consumer-{number}.tasks"),
        }


def write_templates(folder: Path) -> list[Path]:
    """The templates of the order topic, its publish check, and of a subscriber without a filter."""
    source = manifest.TEMPLATES
    subscriber = (source / "notification-order-events.yaml").read_text().replace("notification", "sink")
    before, _, rest = subscriber.partition("      FilterPolicyScope: MessageAttributes\n")
    after = rest[rest.index("      RedrivePolicy:") :]
    made = folder / f"{SINK}.yaml"
    made.write_text(before + after)
    return [source / "order-events.yaml", source / "order-events-publish-check.yaml", made]


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """A Postgres and a LocalStack of the suite's own."""
    from services.order.migrate import migrate

    folder.mkdir(parents=True, exist_ok=True)
    async with (
        EmbeddedPostgres(folder / "postgres", fresh=True) as postgres,
        EmbeddedLocalStack(folder / "localstack") as localstack,
    ):
        template = await databases.create_template(postgres.admin_url, "orders", lambda url: migrate(url, {}))
        yield Servers(
            postgres,
            localstack,
            write_templates(folder),
            template,
            [folder / "postgres/postgres.log", folder / "localstack/localstack.log"],
        )


@asynccontextmanager
async def system(made: Servers, folder: Path) -> AsyncIterator[System]:
    """A running system with databases and a topology of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    admin = made.postgres.admin_url
    aws = Aws("us-east-1", made.localstack.endpoint_url)
    names = BrokerNames(f"f{secrets.token_hex(4)}-")
    async with AsyncExitStack() as stack:
        orders = await stack.enter_async_context(
            databases.database(admin, template=made.orders_template, purpose="orders")
        )
        sink = await stack.enter_async_context(databases.database(admin, purpose="sink"))
        await _create_sink(sink)
        await deploy(aws, prefix=names.prefix, templates=made.templates)
        topology = TopologyWatch(aws, prefix=names.prefix, templates=made.templates, watch_seconds=WATCH_SECONDS)
        recorder = Recorder(folder / "broker.jsonl")
        stack.callback(recorder.close)
        running = System(
            made,
            folder,
            orders,
            sink,
            names,
            aws,
            order_database=await stack.enter_async_context(postgres_proxy(orders)),
            relay_database=await stack.enter_async_context(postgres_proxy(orders)),
            sink_database=await stack.enter_async_context(postgres_proxy(sink)),
            relay_broker=await stack.enter_async_context(
                broker_proxy(made.localstack.endpoint_url, recorder, check_visibility_seconds=CHECK_VISIBILITY_SECONDS)
            ),
            sink_broker=await stack.enter_async_context(broker_proxy(made.localstack.endpoint_url)),
            topology=topology,
            orders_rows=Reader(orders.url),
            sink_rows=Reader(sink.url),
        )
        stack.push_async_callback(running.close_readers)
        stopping = asyncio.Event()
        watching = asyncio.create_task(topology.run(stopping))
        try:
            await running.orchestrator.start()
            yield running
        finally:
            running.clear()
            await running.orchestrator.stop()
            stopping.set()
            await asyncio.gather(watching, return_exceptions=True)
            await delete(aws, prefix=names.prefix, templates=made.templates)


async def _create_sink(database: TestDatabase) -> None:
    connection = await connect(database.url)
    try:
        await install_tables(connection)
        await connection.execute(EFFECTS)
    finally:
        await connection.close()
