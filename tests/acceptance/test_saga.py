"""An order is cancelled when the customer cannot be notified, but not when the mail server fails temporarily."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.mail import MailServer, mail_server
from tests.support.outbox import query
from tests.support.processes import service_process, together
from tests.support.trio import SystemEnvironment, Trio, ready, relay
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK

POLICY = "retry(attempts=5, delay=0.2, backoff=1) then publish_failure"


@asynccontextmanager
async def system(ground: SystemEnvironment, server: MailServer, **order_settings: str) -> AsyncIterator[Trio]:
    """Both services, which send mails, and a relay for each of their topics."""
    orders = ground.environment(ground.orders, "order_api", **order_settings)
    mailing = {
        "SENDER": "smtp",
        "SMTP_HOST": LOOPBACK,
        "SMTP_PORT": str(server.port),
        "SMTP_FROM": "shop@example.com",
        "SMTP_SECURITY": "none",
        "FAILURE_POLICIES": f"order.placed: {POLICY}; order.confirmed: {POLICY}",
    }
    notifications = ground.environment(ground.notifications, "notification_api", **mailing)
    back = ground.environment(ground.notifications, "notification_relay", TOPIC="notification-events")
    async with together(
        service_process("services.order.main", orders, ground.folder / "order"),
        service_process("services.notification.main", notifications, ground.folder / "notification"),
        relay(ground),
        service_process("services.relay.main", back, ground.folder / "back"),
    ) as (order, notification, *_):
        await ready(order.api)
        await ready(notification.api)
        yield Trio(ground, order.api, notification.api)


async def order_in(services: Trio, order_id: str, state: str) -> dict[str, Any]:
    async def is_there() -> dict[str, Any]:
        order: dict[str, Any] = (await services.order.get(f"/v1/orders/{order_id}")).json()
        assert order["state"] == state, order
        return order

    return await eventually(is_there, timeout=30)


async def reports(services: Trio, order_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await services.order.get(f"/v1/orders/{order_id}/reports")).json()["items"]
    return found


@pytest.mark.parametrize(
    ("compensation", "state", "event"), [("hold", "held", "order.held"), ("cancel", "cancelled", "order.cancelled")]
)
async def test_an_order_whose_customer_cannot_be_notified_is_cancelled(
    ground: SystemEnvironment, compensation: str, state: str, event: str
) -> None:
    with mail_server() as server:
        server.to_recipients = ["550 no such user"] * 20
        async with system(ground, server, COMPENSATION=compensation) as services:
            order_id = await services.place()
            await order_in(services, order_id, state)
            history = await services.events(order_id)
            assert [item["type"] for item in history] == ["order.placed", event]
            assert history[1]["data"]["reason"] == "the customer could not be notified"
            assert history[1]["correlation_id"] == history[0]["correlation_id"]
            # The failure to notify the customer of the cancellation may have been published by now.
            reported = [(report["cause_type"], report["compensation"]) for report in await reports(services, order_id)]
            assert [done for cause, done in reported if cause == "order.placed"] == [compensation]
            assert {done for cause, done in reported if cause != "order.placed"} <= {"none"}
            [notification] = [n for n in await services.notifications(order_id) if n["event_type"] == "order.placed"]
            assert notification["status"] == "failed"
    [(failed,)] = await query(
        ground.notifications.url,
        "SELECT count(*) FROM (SELECT convert_from(envelope, 'UTF8')::json AS event FROM outbox_event) AS stated"
        " WHERE event ->> 'type' = 'notification.failed' AND event -> 'data' ->> 'cause_type' = 'order.placed'",
    )
    assert failed == 1


async def test_other_failures_do_not_change_an_order(ground: SystemEnvironment) -> None:
    """A temporary failure is retried, and a failed notification of a later step is only recorded in the history."""
    with mail_server() as server:
        async with system(ground, server) as services:
            server.to_recipients = ["451 later", "421 busy", "451 later"]
            orders = [await services.place() for _ in range(3)]
            for order_id in orders:
                [handled] = await services.wait_until_handled(order_id, 1)
                assert handled["outcome"] == "handled"
                assert await reports(services, order_id) == []
                await order_in(services, order_id, "placed")
            assert len(server.mails) == 3

            server.to_recipients = ["550 no such user"] * 20
            order_id = orders[0]
            await services.act(order_id, "confirm")

            async def is_reported() -> list[dict[str, Any]]:
                return await reports(services, order_id)

            [report] = await eventually(is_reported, timeout=30)
            assert (report["cause_type"], report["compensation"]) == ("order.confirmed", "none")
            assert (await order_in(services, order_id, "confirmed"))["version"] == 2
