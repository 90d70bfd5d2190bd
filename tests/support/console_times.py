"""How long the console takes for each page: `python -m tests.support.console_times`, on an idle machine.

It starts a system with 10,000 dead letters in 1,000 groups and as many held groups. With `--url`, it asks a running
console instead, such as that of `make demo`.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median

import httpx
import structlog

from event_trio.broker.aws import Aws
from services.notification.migrate import migrate as migrate_notifications
from services.order.migrate import migrate as migrate_orders
from tests.support import databases, servers, topologies
from tests.support.browser import NEEDED, chromium
from tests.support.console_pages import BOUNDS
from tests.support.console_system import console_system
from tests.support.shield import shield

ROUNDS = 9
PAGES_OF_ANY = ("/", "/dead-letters", "/outbox", "/relays", "/catalog", "/find", "/tail")
BETWEEN_SECONDS = 1.0
"""Answers are shared for a second."""


def main() -> int:
    """The command. Its status is 1 without a browser, which the system has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running console to which everybody has access")
    url = parser.parse_args().url
    if url:
        asyncio.run(_measure(url, PAGES_OF_ANY, {}))
        return 0
    if chromium() is None:
        print(NEEDED, file=sys.stderr)
        return 1
    shield()
    # Lines of the log would take longer than small pages.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        postgres = stack.enter_context(servers.postgres_server(print))
        endpoint = stack.enter_context(servers.localstack_server(print))
        asyncio.run(_crowded(postgres.admin_url, Aws("us-east-1", endpoint), Path(folder)))
    return 0


async def _crowded(admin: str, aws: Aws, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        names = ("orders", "notifications", "crowded", "outbox")
        found = [await stack.enter_async_context(databases.database(admin, purpose=name)) for name in names]
        await migrate_orders(found[0].url, databases.role_passwords(admin, "order_api", "order_relay"))
        for database in found[1:3]:
            roles = databases.role_passwords(admin, "notification_api", "notification_relay")
            await migrate_notifications(database.url, roles)
        await databases.migrate_outbox(found[3].url)
        topology = await stack.enter_async_context(topologies.created(aws))
        system = await stack.enter_async_context(
            console_system(found[0], found[1], aws, topology, folder, crowded=(found[2], found[3]))
        )
        token = {"token": system.issuer.token("olga", "operator"), "next": "/"}
        async with httpx.AsyncClient(base_url=system.url) as api:
            answer = await api.post("/sign-in", data=token, headers={"Origin": system.url})
        await _measure(system.url, BOUNDS, dict(answer.cookies))


async def _measure(url: str, paths: Iterable[str], cookies: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=20) as api:
        for path in paths:
            first: list[float] = []
            for _ in range(ROUNDS):
                await asyncio.sleep(BETWEEN_SECONDS)
                began = time.perf_counter()
                async with api.stream("GET", path) as answer:
                    # The console renders a page before it sends the first byte of it.
                    first.append(1000 * (time.perf_counter() - began))
                    answer.raise_for_status()
            print(f"{path:60} median {median(first):5.0f} ms, longest {max(first):5.0f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main())
