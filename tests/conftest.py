"""Fixtures: servers for the session, started on demand; a database and a topology for each test."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support import databases, forking, servers, topologies
from tests.support.databases import TestDatabase
from tests.support.postgres_folders import temporary_folder
from tests.support.servers import PostgresServer
from tests.support.shield import shield
from tests.support.waiting import run

if TYPE_CHECKING:
    from tests.support.stack import Stack

YOUNG_OBJECTS = 10_000
"""How many new objects start a collection of garbage."""


def pytest_configure() -> None:
    """Remove the settings of the user, and log plain tracebacks: those of structlog take seconds to format, and contain
    local variables.
    """
    gc.disable()  # until everything is imported
    shield()
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, renderer]
    )


def pytest_unconfigure() -> None:
    """End the process that services are forked from, if there is one."""
    forking.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Leave modules and tests, which stay to the end, out of collections of garbage, and collect less often.

    To search them again and again takes a sixth of the processor time of the tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()


@pytest.fixture(autouse=True)
def log_configuration() -> Iterator[None]:
    """Restore the configuration of the log after each test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def pytest_report_header() -> list[str]:
    return servers.describe()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The Postgres server; `.admin_url` is the URL of the superuser."""
    with servers.postgres_server(_notice(request)) as server:
        yield server


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """A folder for the data of a Postgres that the test starts itself."""
    with temporary_folder() as found:
        yield found


@pytest.fixture(scope="session")
def localstack(request: pytest.FixtureRequest) -> Iterator[str]:
    """The endpoint URL of LocalStack."""
    with servers.localstack_server(_notice(request)) as endpoint_url:
        yield endpoint_url


@pytest.fixture(scope="session")
def aws(localstack: str) -> Aws:
    """LocalStack, for the clients of the library."""
    return Aws(region="us-east-1", endpoint_url=localstack)


@pytest.fixture(scope="session")
def orders_template(postgres: PostgresServer) -> Iterator[str]:
    """Name of the migrated database that `orders_database` clones."""
    from services.order.migrate import migrate

    passwords = databases.role_passwords(postgres.admin_url, "order_api", "order_relay")
    yield from _template(postgres, "orders", lambda url: migrate(url, passwords))


@pytest.fixture(scope="session")
def notifications_template(postgres: PostgresServer) -> Iterator[str]:
    """Name of the migrated database that `notifications_database` clones."""
    from services.notification.migrate import migrate

    passwords = databases.role_passwords(postgres.admin_url, "notification_api", "notification_relay")
    yield from _template(postgres, "notifications", lambda url: migrate(url, passwords))


@pytest.fixture(scope="session")
def outbox_template(postgres: PostgresServer) -> Iterator[str]:
    """Name of the database with only the outbox that `outbox_database` clones."""
    yield from _template(postgres, "outbox", databases.migrate_outbox)


@pytest.fixture
async def orders_database(postgres: PostgresServer, orders_template: str) -> AsyncIterator[TestDatabase]:
    """A database of the order service for this test."""
    async with databases.database(postgres.admin_url, template=orders_template, purpose="orders") as found:
        yield found


@pytest.fixture
async def notifications_database(postgres: PostgresServer, notifications_template: str) -> AsyncIterator[TestDatabase]:
    """A database of the notification service for this test."""
    async with databases.database(
        postgres.admin_url, template=notifications_template, purpose="notifications"
    ) as found:
        yield found


@pytest.fixture
async def outbox_database(postgres: PostgresServer, outbox_template: str) -> AsyncIterator[TestDatabase]:
    """A database with only the outbox; its roles are databases.OUTBOX_WRITER and OUTBOX_RELAY."""
    async with databases.database(postgres.admin_url, template=outbox_template, purpose="outbox") as found:
        yield found


@pytest.fixture
async def topology(aws: Aws) -> AsyncIterator[BrokerNames]:
    """All topics and queues, with a prefix of this test."""
    async with topologies.created(aws) as found:
        yield found


@pytest.fixture
async def system(
    orders_database: TestDatabase, notifications_database: TestDatabase, aws: Aws, topology: BrokerNames
) -> AsyncIterator[Stack]:
    """The services and relays in this process, with databases and a topology of this test."""
    from tests.support.stack import stack

    async with stack(orders_database, notifications_database, aws, topology) as found:
        yield found


def _template(postgres: PostgresServer, purpose: str, migrate: databases.Migrate) -> Iterator[str]:
    name = run(databases.create_template(postgres.admin_url, purpose, migrate))
    yield name
    run(databases.drop(postgres.admin_url, name))


def _notice(request: pytest.FixtureRequest) -> servers.Notice:
    return lambda text: request.config.get_terminal_writer().line(f"\n{text}")
