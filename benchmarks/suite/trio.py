"""The four processes of the whole chain, on the stub broker or on LocalStack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.load import Customer, customer
from benchmarks.suite.processes import Measured, service
from benchmarks.suite.relay import relay_environment

ORDERS, NOTIFICATIONS = "order-events", "notification-events"
QUEUE, BACK = f"notification-{ORDERS}.fifo", f"order-{NOTIFICATIONS}.fifo"
CHECK = f"{ORDERS}-publish-check.fifo"
# Of the stub broker; on LocalStack the templates of the project make them.
SUBSCRIPTIONS = (
    f"{ORDERS}.fifo={QUEUE}",
    f"{ORDERS}.fifo={CHECK}",
    f"{NOTIFICATIONS}.fifo={BACK}",
    f"{NOTIFICATIONS}.fifo={NOTIFICATIONS}-publish-check.fifo",
)
DEAD_LETTER_QUEUES = tuple(f"{queue[:-5]}-{kind}.fifo" for queue in (QUEUE, BACK) for kind in ("dlq", "undelivered"))
CONNECTIONS = 100
IN_FLIGHT = 8
COMMITS = """
SELECT subject, min(extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8) AS at
FROM processed_message GROUP BY subject
"""
"""When the handler's transaction of each order's first event was committed, in seconds of the day's clock."""
RECORDED = """
SELECT order_id::text AS subject, min(extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8) AS at
FROM order_history GROUP BY order_id
"""
"""When the transaction that placed each order was committed. Rows of the history never change."""
PUBLISHED = """
SELECT subject, extract(epoch FROM published_at)::float8 AS at FROM outbox_event WHERE published_at IS NOT NULL
"""


@dataclass(frozen=True)
class Trio:
    """The running processes, by name."""

    processes: dict[str, Measured]
    orders: Customer
    urls: dict[str, str]

    async def committed(self) -> dict[str, float]:
        """When each order was committed."""
        return await _times(self.urls["order"], RECORDED)

    async def handled(self) -> dict[str, float]:
        """When the notification service had handled the first event of each order."""
        return await _times(self.urls["notification"], COMMITS)

    async def published(self) -> dict[str, float]:
        """When the event of each order was recorded as published."""
        return await _times(self.urls["order"], PUBLISHED)

    def ensure_running(self) -> None:
        """Raise EmbeddedServerFailed if a process has ended."""
        for process in self.processes.values():
            process.ensure_running()


@asynccontextmanager
async def running_trio(bench: Bench, endpoint: str, *, prefix: str = "") -> AsyncIterator[Trio]:
    """Order service, two relays and notification service, each with fresh databases."""
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(databases.copied(bench.admin_url, await bench.seed(name)))
            for name in ("order", "notification")
        }

        async def start(name: str, module: str, environment: dict[str, str]) -> Measured:
            given = {**environment, **({"TOPOLOGY_PREFIX": prefix} if prefix else {})}
            return await stack.enter_async_context(service(module, given, bench.folder, name=name))

        relaying = relay_environment(urls["notification"], endpoint, in_flight=IN_FLIGHT, role="notification_relay")
        processes = {
            "order": await start("order", "services.order.main", _consuming(urls["order"], "order_api", endpoint)),
            "order-relay": await start(
                "order-relay", "services.relay.main", relay_environment(urls["order"], endpoint, in_flight=IN_FLIGHT)
            ),
            "notification": await start(
                "notification",
                "services.notification.main",
                _consuming(urls["notification"], "notification_api", endpoint),
            ),
            "notification-relay": await start(
                "notification-relay", "services.relay.main", relaying | {"TOPIC": NOTIFICATIONS}
            ),
        }
        orders = await stack.enter_async_context(customer(processes["order"].url, connections=CONNECTIONS))
        yield Trio(processes, orders, urls)


def _consuming(url: str, role: str, endpoint: str) -> dict[str, str]:
    return {
        "DATABASE_URL": databases.as_role(url, role),
        "AWS_ENDPOINT_URL": endpoint,
        "QUEUE_WAIT_SECONDS": "5",
        "LOG_FORMAT": "json",
    }


async def _times(url: str, query: str) -> dict[str, float]:
    return {str(row["subject"]): row["at"] for row in await databases.fetch(url, query)}
