"""Takes the pictures of the console for the documentation: `make screenshots`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from playwright.async_api import Page

from event_trio.broker.aws import Aws
from services.notification.migrate import migrate as migrate_notifications
from services.order.migrate import migrate as migrate_orders
from tests.support import databases, servers, topologies
from tests.support.browser import NEEDED, chromium
from tests.support.console_system import ConsoleSystem, console_system
from tests.support.shield import shield
from tests.support.waiting import eventually

FOLDER = Path(__file__).parents[2] / "docs" / "images"
NARROW = 390
ORDERS = 12
REJECTIONS = ("554 5.7.1 no",) * 3


def main() -> int:
    """The command. Its status is 1 without a browser."""
    if chromium() is None:
        print(NEEDED, file=sys.stderr)
        return 1
    shield()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        postgres = stack.enter_context(servers.postgres_server(print))
        endpoint = stack.enter_context(servers.localstack_server(print))
        asyncio.run(_take(postgres.admin_url, Aws("us-east-1", endpoint), Path(folder)))
    return 0


async def _take(admin: str, aws: Aws, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        orders = await stack.enter_async_context(databases.database(admin, purpose="orders"))
        notifications = await stack.enter_async_context(databases.database(admin, purpose="notifications"))
        await migrate_orders(orders.url, databases.role_passwords(admin, "order_api", "order_relay"))
        roles = databases.role_passwords(admin, "notification_api", "notification_relay")
        await migrate_notifications(notifications.url, roles)
        names = await stack.enter_async_context(topologies.created(aws))
        system = await stack.enter_async_context(console_system(orders, notifications, aws, names, folder))
        order = await _work(system)
        for scheme, width, language in (("light", 1280, "en"), ("dark", 1280, "en"), ("light", NARROW, "ko")):
            await _pictures(system, order, scheme, width, language)


async def _work(system: ConsoleSystem) -> str:
    """Orders, some of which fail, one of which is held; returns one that was notified."""
    system.mails.to_mails += REJECTIONS
    failing = [await system.place() for _ in REJECTIONS]
    for order in failing:
        await system.act("order", f"/v1/orders/{order}/confirm")
    orders = [await system.place() for _ in range(ORDERS)]
    await system.act("order-relay", f"/v1/outbox/groups/{orders[-1]}/hold", reason="the customer corrects the address")
    for order in orders:
        await system.act("order", f"/v1/orders/{order}/confirm")

    async def has_failed() -> bool:
        return len((await system.get("notification", "/v1/dead-letters"))["items"]) >= len(REJECTIONS)

    await eventually(has_failed, timeout=60)
    await system.settled(orders[0])
    return orders[0]


async def _pictures(system: ConsoleSystem, order: str, scheme: str, width: int, language: str) -> None:
    name = "narrow" if width == NARROW else scheme
    paths = {"overview": "/", "journey": f"/journey/{order}", "dead-letters": "/dead-letters"}
    if name == "light":
        paths |= {"outbox": "/outbox/order-relay", "tail": "/tail"}
    height = 800 if width == NARROW else 860
    locale = "ko-KR" if language == "ko" else "en-GB"
    async with system.person("operator", scheme=scheme, width=width, height=height, locale=locale) as person:
        page = await person.new_page()
        await eventually(lambda: _has_rates(page), timeout=60)
        for kind, path in paths.items():
            await page.goto(path)
            await page.wait_for_load_state("load")
            await _picture(page, FOLDER / f"console-{kind}-{name}.png")


async def _has_rates(page: Page) -> bool:
    """Whether the overview has rates, which take two samples."""
    await page.goto("/")
    return "–" not in await page.locator("dl.numbers").inner_text()


async def _picture(page: Page, path: Path) -> None:
    await page.screenshot(path=path)
    print(path.relative_to(FOLDER.parents[1]))


if __name__ == "__main__":
    sys.exit(main())
