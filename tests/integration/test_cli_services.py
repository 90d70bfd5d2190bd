"""`event-trio` with several services: it queries all of them, names them, and follows its changes."""

import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from tests.support.command import CommandResult, event_trio
from tests.support.databases import TestDatabase, execute
from tests.support.letters import three_letters, waiting
from tests.support.operators import relay_app
from tests.support.order_service import settings
from tests.support.serving import serving

WHY = ("--reason", "the carrier is back")
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
async def order(orders_database: TestDatabase) -> AsyncIterator[str]:
    async with serving(build_order(settings(orders_database))) as url:
        yield url


@pytest.fixture
async def notification(notifications_database: TestDatabase) -> AsyncIterator[str]:
    made = NotificationSettings(
        database_url=SecretStr(notifications_database.url_for("notification_api")),
        aws_endpoint_url=UNREACHABLE,
        queue_wait_seconds=1,
        drain_seconds=2,
    )
    async with serving(build_notification(made)) as url:
        yield url


async def run(services: dict[str, str], *arguments: str, **environment: str) -> CommandResult:
    declared = ",".join(f"{name}={url}" for name, url in services.items())
    return await event_trio(*arguments, EVENT_TRIO_SERVICES=declared, **environment)


async def test_dead_letters_of_all_services_are_listed_and_unreachable_services_named(
    order: str, notification: str, orders_database: TestDatabase
) -> None:
    await execute(orders_database.url, *three_letters("order"))
    services = {"order": order, "notification": notification, "order-relay": UNREACHABLE}
    both = await run(services, "dead-letters", "list")
    assert both.status == 0
    assert f"Notification service ({notification}): no dead letters" in both.err
    assert f"Order service ({order}): 3 rows" in both.err
    assert "Order service" in both.out
    one = await run(services, "dead-letters", "list", "--service", "notification", "--json")
    assert (one.data["items"], one.data["queried"]) == ([], [f"Notification service ({notification})"])
    part = await run({**services, "notification": UNREACHABLE}, "dead-letters", "list", "--json")
    assert (part.status, len(part.data["items"])) == (1, 3)
    assert f"cannot reach {UNREACHABLE}: connection refused; the notification service is not running" in part.err
    unknown = await run(services, "dead-letters", "list", "--service", "billing")
    assert (unknown.status, "known services: order, notification" in unknown.err) == (2, True)


async def test_the_wrong_service_is_named_with_the_right_variable(order: str, outbox_database: TestDatabase) -> None:
    async with serving(relay_app(outbox_database)) as relay:
        letters = await event_trio("dead-letters", "list", "--url", relay)
        outbox = await event_trio("outbox", "status", "--url", order)
    assert (letters.status, outbox.status) == (1, 1)
    assert f"Relay of order-events ({relay}) has no /v1/dead-letters" in letters.err
    assert "EVENT_TRIO_CONSUMER_URL" in letters.err
    assert "EVENT_TRIO_RELAY_URL" not in letters.err
    assert f"Order service ({order}) has no /v1/outbox" in outbox.err
    assert "EVENT_TRIO_RELAY_URL" in outbox.err


async def test_a_change_at_several_services_requires_a_selection(
    order: str, notification: str, orders_database: TestDatabase, notifications_database: TestDatabase
) -> None:
    await execute(orders_database.url, *three_letters("order"))
    await execute(notifications_database.url, *three_letters("notification"))
    services = {"order": order, "notification": notification}
    refused = await run(services, "dead-letters", "discard", "--all", "--yes", *WHY)
    assert (refused.status, refused.out) == (1, "")
    assert "--service NAME, or --service all; nothing was changed" in refused.err
    one = await run(services, "dead-letters", "discard", "--all", "--yes", "-S", "order", "--json", *WHY)
    assert {item["service"] for item in one.data["items"]} == {"Order service"}
    found = await run(services, "dead-letters", "discard", "e-2", "--yes", "--json", *WHY)
    assert [(item["event_id"], item["service"]) for item in found.data["items"]] == [("e-2", "Notification service")]
    gone = await run(services, "dead-letters", "discard", "e-2", "--yes", *WHY)
    assert (gone.status, "e-2 is not a dead letter at Order service (" in gone.err) == (1, True)
    audit = await run(services, "dead-letters", "audit")
    assert audit.out.count("the carrier is back") == 4
    mine = await run(services, "dead-letters", "audit", "--event", "e-2", "--json")
    assert [(item["action"], item["actor"], item["reason"]) for item in mine.data["items"]] == [
        ("discard", "local", "the carrier is back")
    ] * 2
    none = await run(services, "dead-letters", "audit", "--by", "olga")
    assert (none.status, "no changes by operators" in none.err) == (0, True)


async def test_deferred_events_of_all_services_are_listed(
    order: str, notification: str, orders_database: TestDatabase, notifications_database: TestDatabase
) -> None:
    await execute(orders_database.url, *waiting("order"))
    # The notification service would process its deferred events if they were due.
    await execute(notifications_database.url, *waiting("notification"))
    services = {"order": order, "notification": notification, "order-relay": UNREACHABLE}
    listed = await run(services, "deferred", "list")
    assert f"Order service ({order}): 5 rows" in listed.err
    assert f"Notification service ({notification}): 5 rows" in listed.err
    one = await run(services, "deferred", "list", "--service", "order", "--json")
    assert ({item["service"] for item in one.data["items"]}, len(one.data["queried"])) == ({"Order service"}, 1)
    by_url = await run(services, "deferred", "list", "--status", "blocked", "--json", EVENT_TRIO_CONSUMER_URL=order)
    assert by_url.data["queried"] == [f"Order service ({order})"]
    refused = await run(services, "deferred", "discard", "--group", "b", "--yes", *WHY)
    assert (refused.status, refused.out) == (1, "")
    assert "1 deferred event at Order service" in refused.err
    assert "--service NAME, or --service all; nothing was changed" in refused.err
    discarded = await run(services, "deferred", "discard", "--group", "b", "--yes", "-S", "order", *WHY)
    assert (discarded.status, "discard: 1 deferred event\n" in discarded.err) == (0, True)
    shown = await run(services, "deferred", "show", "b-1")
    assert (shown.status, f"Notification service ({notification})" in shown.out, order in shown.out) == (0, True, False)
    ran = await run({"order": order, "notification": UNREACHABLE}, "deferred", "run", "b-1", "--yes", *WHY)
    assert (ran.status, f"b-1 is not deferred at Order service ({order})" in ran.err) == (1, True)
    assert f"cannot reach {UNREACHABLE}" in ran.err


async def test_a_followed_redrive_shows_the_outcomes(notification: str, notifications_database: TestDatabase) -> None:
    await execute(notifications_database.url, *three_letters("notification"))
    followed = await run(
        {"notification": notification}, "dead-letters", "redrive", "--all", "--yes", "--wait", "--json", *WHY
    )
    assert followed.status == 1
    # A message without an envelope can never be processed.
    assert [item["outcome"].partition(":")[0] for item in followed.data["items"]] == ["dead again"] * 3
    assert "3 dead again" in followed.err
    brief = await run(
        *({"notification": notification}, "dead-letters", "redrive", "--all", "--rate", "0.01", "--yes", "--wait"),
        *("--wait-seconds", "1", *WHY),
    )
    # The first is processed again at once, unless the machine is busy; the rate holds the others back.
    assert (brief.status, re.search("[23] waiting", brief.err) is not None) == (1, True)


async def test_the_status_of_every_service_is_shown_with_its_problems(
    order: str, outbox_database: TestDatabase
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        silent = f"http://127.0.0.1:{stopped.getsockname()[1]}"
        services = {"order": order, "billing": UNREACHABLE, "order-relay": silent}
        soon = {"EVENT_TRIO_TIMEOUT_SECONDS": "3"}
        found = await run(services, "status", "--json", **soon)
        table = await run(services, "status", **soon)
        outbox = await run(services, "outbox", "status", **soon)
    assert (found.status, found.data["healthy"]) == (1, False)
    rows: dict[str, Any] = {row["service"]: row for row in found.data["services"]}
    assert rows["order"]["state"] in {"ready", "degraded"}
    assert rows["billing"]["details"] == [
        f"cannot reach {UNREACHABLE}: connection refused; the billing service is not running"
    ]
    assert f"the relay of order-events does not answer at {silent}" in rows["order-relay"]["details"][0]
    assert "suspended, overloaded or gone" in table.out
    assert (outbox.status, f"the relay of order-events does not answer at {silent}" in outbox.err) == (1, True)
