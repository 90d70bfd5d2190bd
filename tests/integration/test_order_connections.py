"""The API of the order service has connections of its own, whatever its consumer waits for."""

import asyncio
from uuid import uuid4

import asyncpg

from event_trio.contracts.notifications import NotificationFailed
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.deferred import defer
from tests.support.events import envelope_of
from tests.support.operators import NO_BROKER
from tests.support.order_service import order_service, place
from tests.support.waiting import eventually

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
HANDLERS = 8


async def test_waiting_handlers_do_not_take_connections_from_requests(orders_database: TestDatabase) -> None:
    # Longer than a request waits for a connection, so that it cannot get one of theirs.
    patient = f"ALTER ROLE order_api IN DATABASE {orders_database.name} SET lock_timeout = '60s'"
    await execute(orders_database.url, patient)
    connection = await asyncpg.connect(orders_database.url)
    async with order_service(
        orders_database,
        consuming=True,
        queue_wait_seconds=1,
        aws_endpoint_url=NO_BROKER.endpoint_url,
        database_pool_size=1,
    ) as api:
        order = await place(api)
        failed = NotificationFailed(
            notification_id=uuid4(),
            order_id=order["id"],
            channel="mail",
            cause_event_id=uuid4(),
            cause_type="order.placed",
            reason="no such mailbox",
        )
        events = [envelope_of(failed, subject=f"group-{number}") for number in range(HANDLERS)]

        async def blocked() -> bool:
            [row] = await fetch(orders_database.url, BLOCKED, orders_database.name)
            return bool(row["count"] >= HANDLERS)

        async with connection.transaction():
            await connection.execute("SELECT 1 FROM orders FOR UPDATE")
            await defer(orders_database, events, consumer="order")
            await eventually(blocked)
            # A request that finds no connection is answered with 503 after 5 s.
            await asyncio.gather(*(place(api) for _ in range(4)))
    await connection.close()
