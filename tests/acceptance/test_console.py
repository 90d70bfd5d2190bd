"""The console in a real browser: what operators find, see, resolve, and what nobody may."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import expect

from event_trio.broker.aws import Aws
from tests.support import databases, topologies
from tests.support.browser import needs_chromium
from tests.support.console_system import ConsoleSystem, console_system
from tests.support.servers import PostgresServer
from tests.support.waiting import eventually

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    postgres: PostgresServer,
    orders_template: str,
    notifications_template: str,
    outbox_template: str,
    aws: Aws,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ConsoleSystem]:
    """One running system for all tests of this file: to start it takes longer than most of them."""
    admin = postgres.admin_url
    async with AsyncExitStack() as stack:
        orders, notifications, crowded, outbox = [
            await stack.enter_async_context(databases.database(admin, template=template, purpose=purpose))
            for template, purpose in (
                (orders_template, "orders"),
                (notifications_template, "notifications"),
                (notifications_template, "crowded"),
                (outbox_template, "outbox"),
            )
        ]
        names = await stack.enter_async_context(topologies.created(aws))
        folder = tmp_path_factory.mktemp("console")
        yield await stack.enter_async_context(
            console_system(orders, notifications, crowded, outbox, aws, names, folder)
        )


async def test_dead_letters_are_redriven_in_order_with_progress_and_their_notifications_appear(
    system: ConsoleSystem,
) -> None:
    system.mails.to_mails += ["554 5.7.1 no"] * 2
    order = await system.place()
    await system.act("order", f"/v1/orders/{order}/confirm")

    async def dead() -> None:
        found = await system.get("notification", "/v1/dead-letters", group=order)
        assert len(found["items"]) == 2

    await eventually(dead)
    assert await system.get("notification", "/v1/notifications", order_id=order) == {"items": [], "next_cursor": None}
    async with system.page(f"/dead-letters/notification/messages?group={order}") as page:
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Redrive these").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Redrive dead letters")
        await page.get_by_label("Reason").fill("the mail server is back")
        await page.get_by_role("button", name="Redrive 2 dead letters").click()
        await expect(page.locator("#completed")).to_have_text("2", timeout=30_000)
        await expect(page.locator(".badge", has_text="finished")).to_be_visible()
        await page.goto(f"/dead-letters/notification/messages?group={order}")
        await expect(page.get_by_text("No dead letters")).to_be_visible()
    sent = (await system.get("notification", "/v1/notifications", order_id=order))["items"]
    assert sorted(item["event_type"] for item in sent) == ["order.confirmed", "order.placed"]
    by_time = sorted(sent, key=lambda item: str(item["created_at"]))
    assert [item["event_type"] for item in by_time] == ["order.placed", "order.confirmed"]
    audit = (await system.get("notification", "/v1/operator-actions", group=order))["items"]
    assert {(item["actor"], item["action"], item["reason"]) for item in audit} == {
        ("olga", "redrive", "the mail server is back")
    }
