"""Restarts and outages of Postgres, and lost responses to commits: nothing is lost or duplicated."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support import relays
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.faulty_postgres import FaultyPostgres, faulty_postgres
from tests.support.notification_service import NotificationService, notification_service, policies
from tests.support.order_service import ORDER, order_service
from tests.support.waiting import eventually
from tools.embedded.ports import free_port
from tools.embedded.postgres import EmbeddedPostgres

MESSAGE_ID = rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Customer:
    """Places and confirms orders, and retries with the same key until there is a response."""

    def __init__(self, api: httpx.AsyncClient) -> None:
        self._api = api
        self.placed: list[str] = []
        self.repeated = 0

    async def order(self) -> None:
        answer = await self._insist("/v1/orders", 201, json=ORDER)
        order_id = str(answer.json()["id"])
        await self._insist(f"/v1/orders/{order_id}/confirm", 200)
        self.placed.append(order_id)

    async def go_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.order()

    async def _insist(self, path: str, status: int, **body: object) -> httpx.Response:
        key = str(uuid4())

        async def answered() -> httpx.Response | None:
            answer = await self._api.post(path, headers={"Idempotency-Key": key}, **body)  # type: ignore[arg-type]
            self.repeated += answer.status_code != status
            return answer if answer.status_code == status else None

        found = await eventually(answered, timeout=30)
        assert found is not None
        return found


@asynccontextmanager
async def system(
    orders: TestDatabase, carried: TestDatabase, notifications: TestDatabase, aws: Aws, topology: BrokerNames
) -> AsyncIterator[tuple[Customer, NotificationService]]:
    """The order service, relay and notification service, each with its own proxy to its database."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(order_service(orders))
        await stack.enter_async_context(
            relays.running(relays.settings(carried.url_for("order_relay"), aws, topology, lease_seconds=6))
        )
        # With a dead letter after the first attempt it shows at once when an outage is taken for one.
        strict = policies("dead_letter")
        notified = await stack.enter_async_context(
            notification_service(notifications, aws, topology.prefix, failure_policies=strict)
        )
        yield Customer(api), notified


async def ensure_each_once(customer: Customer, orders: TestDatabase, notifications: TestDatabase) -> None:
    """Every acknowledged order exists with its two events, each handled once and in order, and no other order does."""

    async def all_handled() -> bool:
        rows = await fetch(orders.url, "SELECT count(*) FROM outbox_event WHERE published_at IS NULL")
        assert rows[0][0] == 0, f"{rows[0][0]} not published"
        rows = await fetch(notifications.url, "SELECT count(*) FROM processed_message")
        assert rows[0][0] >= 2 * len(customer.placed), f"{rows[0][0]} of {2 * len(customer.placed)} handled"
        return True

    await eventually(all_handled, timeout=60)
    wanted = sorted((order_id, n) for order_id in customer.placed for n in (1, 2))
    stored = await fetch(orders.url, "SELECT id::text FROM orders")
    assert sorted(row["id"] for row in stored) == sorted(customer.placed)
    recorded = await fetch(orders.url, "SELECT subject, sequence FROM outbox_event")
    assert sorted((row["subject"], row["sequence"]) for row in recorded) == wanted
    sent = await fetch(notifications.url, "SELECT order_id::text, event_type FROM notification ORDER BY created_at")
    assert sorted((row["order_id"], row["event_type"]) for row in sent) == sorted(
        (order_id, kind) for order_id in customer.placed for kind in ("order.placed", "order.confirmed")
    )
    stale = await fetch(notifications.url, "SELECT 1 FROM processed_message WHERE outcome <> 'handled'")
    assert stale == []
    assert await fetch(notifications.url, "SELECT 1 FROM deferred_message") == []
    burnt = await fetch(orders.url, "SELECT 1 FROM outbox_event WHERE attempts > 0 OR held_at IS NOT NULL")
    assert burnt == []


@pytest.fixture
async def cluster(postgres_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A Postgres for this test only, which it may stop."""
    async with EmbeddedPostgres(postgres_folder / "postgres", port=free_port()) as server:
        yield server


async def test_an_immediate_restart_of_postgres_loses_and_duplicates_nothing(
    cluster: EmbeddedPostgres, aws: Aws, topology: BrokerNames
) -> None:
    orders, notifications = await migrated(cluster)
    async with system(orders, orders, notifications, aws, topology) as (customer, _):
        stop = asyncio.Event()
        customers = [asyncio.create_task(customer.go_on(stop)) for _ in range(3)]
        for _ in range(2):
            before = len(customer.placed)

            async def goes_on(before: int = before) -> bool:
                return len(customer.placed) >= before + 10

            await eventually(goes_on, timeout=30)
            await shoot(cluster)
            await cluster.stop()
            await cluster.start()
        stop.set()
        await asyncio.gather(*customers)
        await customer.order()
        assert customer.repeated, "nobody noticed"
        await ensure_each_once(customer, orders, notifications)


async def migrated(cluster: EmbeddedPostgres) -> tuple[TestDatabase, TestDatabase]:
    from services.notification.migrate import migrate as migrate_notifications
    from services.order.migrate import migrate as migrate_orders

    await execute(cluster.admin_url, "CREATE DATABASE orders", "CREATE DATABASE notifications")
    server = cluster.admin_url.rpartition("/")[0]
    made = TestDatabase("orders", f"{server}/orders"), TestDatabase("notifications", f"{server}/notifications")
    await migrate_orders(made[0].url, {})
    await migrate_notifications(made[1].url, {})
    return made


async def shoot(cluster: EmbeddedPostgres) -> None:
    """Like `pg_ctl stop -m immediate`: without a checkpoint, with recovery at the next start."""
    (row,) = await fetch(cluster.admin_url, "SHOW data_directory")
    os.kill(int((Path(row[0]) / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


@asynccontextmanager
async def system_behind_proxies(
    orders: TestDatabase, notifications: TestDatabase, aws: Aws, topology: BrokerNames
) -> AsyncIterator[tuple[Customer, NotificationService, list[FaultyPostgres]]]:
    async with (
        faulty_postgres(orders) as ordering,
        faulty_postgres(orders) as carrying,
        faulty_postgres(notifications) as notifying,
        system(ordering.database, carrying.database, notifying.database, aws, topology) as (customer, notified),
    ):
        yield customer, notified, [ordering, carrying, notifying]


async def test_a_retry_with_its_key_shows_whether_a_change_with_a_lost_response_was_committed(
    orders_database: TestDatabase, notifications_database: TestDatabase, aws: Aws, topology: BrokerNames
) -> None:
    async with system_behind_proxies(orders_database, notifications_database, aws, topology) as (
        customer,
        notified,
        proxies,
    ):
        _, carrying, notifying = proxies
        # Both commit in one statement: a notification with its outcome, the relay with the broker's message ids.
        notifying.committed_by, carrying.committed_by = b"handled", MESSAGE_ID
        for number in range(1, 31):
            for proxy in proxies:
                proxy.commits_to_lose = 1
            await customer.order()
            await notified.signals.wait("consumer.completed", count=number, timeout=30.0)
            # The loops of both services commit too: on until a change was repeated, and an event of the consumer came
            # again and was found to be settled.
            if customer.repeated and notified.signals.seen(
                "consumer.completed", where=lambda facts: facts["outcome"] == "duplicate"
            ):
                break
        else:
            raise AssertionError("no commit of a handler was lost")
        await ensure_each_once(customer, orders_database, notifications_database)
        assert customer.repeated
        assert carrying.commits_to_lose == 0


async def end_transactions(made: TestDatabase, *roles: str, seconds: int) -> None:
    """Give these roles shorter limits in this database: those that this server knows."""
    known = await fetch(
        made.url,
        "SELECT name FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_in_transaction_session_timeout')",
    )
    for role, (limit,) in product(roles, known):
        await execute(made.url, f"ALTER ROLE {role} IN DATABASE {made.name} SET {limit} = '{seconds}s'")


async def test_dead_connections_are_closed_in_time(
    orders_database: TestDatabase,
    notifications_database: TestDatabase,
    aws: Aws,
    topology: BrokerNames,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("event_trio.database.connections.STATEMENT_SECONDS", 1.0)
    # The connections to the server stay open, and so do their transactions with their locks until a limit ends them.
    await end_transactions(orders_database, "order_api", "order_relay", seconds=5)
    await end_transactions(notifications_database, "notification_api", seconds=5)
    async with system_behind_proxies(orders_database, notifications_database, aws, topology) as (customer, _, proxies):
        await customer.order()
        for proxy in proxies:
            proxy.freeze()
        await asyncio.gather(*(customer.order() for _ in range(3)))
        await ensure_each_once(customer, orders_database, notifications_database)
