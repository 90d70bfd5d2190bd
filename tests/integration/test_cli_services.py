"""`event-trio` asks all services at once, says whom it asked, and what became of what it changed."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from tests.support.command import Ran, event_trio
from tests.support.databases import TestDatabase, execute
from tests.support.letters import three_letters, waiting
from tests.support.operators import relay_app
from tests.support.order_service import settings
from tests.support.serving import serving

WHY = ("--reason", "the carrier is back")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
async def order(orders_database: TestDatabase) -> AsyncIterator[str]:
    async with serving(build_order(settings(orders_database))) as url:
        yield url


@pytest.fixture
async def notification(notifications_database: TestDatabase) -> AsyncIterator[str]:
    made = NotificationSettings(
        database_url=SecretStr(notifications_database.url_for("notification_api")),
        aws_endpoint_url=NOBODY,
        queue_wait_seconds=1,
        drain_seconds=2,
    )
    async with serving(build_notification(made)) as url:
        yield url


async def ask(services: dict[str, str], *arguments: str, **environment: str) -> Ran:
    declared = ",".join(f"{name}={url}" for name, url in services.items())
    return await event_trio(*arguments, EVENT_TRIO_SERVICES=declared, **environment)


async def test_dead_letters_of_all_services_are_listed_and_those_that_do_not_answer_named(
    order: str, notification: str, orders_database: TestDatabase
) -> None:
    await execute(orders_database.url, *three_letters("order"))
    services = {"order": order, "notification": notification, "order-relay": NOBODY}
    both = await ask(services, "dead-letters", "list")
    assert both.status == 0
    assert f"no dead letters at Notification service ({notification})" in both.err
    assert f"3 rows of Order service ({order})" in both.err
    assert "Order service" in both.out
    one = await ask(services, "dead-letters", "list", "--service", "notification", "--json")
    assert (one.data["items"], one.data["asked"]) == ([], [f"Notification service ({notification})"])
    part = await ask({**services, "notification": NOBODY}, "dead-letters", "list", "--json")
    assert (part.status, len(part.data["items"])) == (1, 3)
    assert f"cannot reach {NOBODY}: nothing listens there; the notification service is gone" in part.err
    unheard = await ask(services, "dead-letters", "list", "--service", "billing")
    assert (unheard.status, "there are: order, notification" in unheard.err) == (2, True)


async def test_a_service_that_was_not_meant_is_named_with_the_right_variable(
    order: str, outbox_database: TestDatabase
) -> None:
    async with serving(relay_app(outbox_database)) as relay:
        letters = await event_trio("dead-letters", "list", "--url", relay)
        outbox = await event_trio("outbox", "status", "--url", order)
    assert (letters.status, outbox.status) == (1, 1)
    assert f"Relay of order-events ({relay}) has nothing at /v1/dead-letters" in letters.err
    assert "EVENT_TRIO_CONSUMER_URL" in letters.err
    assert "EVENT_TRIO_RELAY_URL" not in letters.err
    assert f"Order service ({order}) has nothing at /v1/outbox" in outbox.err
    assert "EVENT_TRIO_RELAY_URL" in outbox.err


async def test_what_would_change_more_than_one_service_asks_which(
    order: str, notification: str, orders_database: TestDatabase, notifications_database: TestDatabase
) -> None:
    await execute(orders_database.url, *three_letters("order"))
    await execute(notifications_database.url, *three_letters("notification"))
    services = {"order": order, "notification": notification}
    refused = await ask(services, "dead-letters", "discard", "--all", "--yes", *WHY)
    assert (refused.status, refused.out) == (1, "")
    assert "--service NAME, or --service all; nothing was changed" in refused.err
    one = await ask(services, "dead-letters", "discard", "--all", "--yes", "-S", "order", "--json", *WHY)
    assert {item["service"] for item in one.data["items"]} == {"Order service"}
    found = await ask(services, "dead-letters", "discard", "e-2", "--yes", "--json", *WHY)
    assert [(item["event_id"], item["service"]) for item in found.data["items"]] == [("e-2", "Notification service")]
    gone = await ask(services, "dead-letters", "discard", "e-2", "--yes", *WHY)
    assert (gone.status, "e-2 is no dead letter at Order service (" in gone.err) == (1, True)
    audit = await ask(services, "dead-letters", "audit")
    assert audit.out.count("the carrier is back") == 4
    mine = await ask(services, "dead-letters", "audit", "--event", "e-2", "--json")
    assert [(item["action"], item["actor"], item["reason"]) for item in mine.data["items"]] == [
        ("discard", "local", "the carrier is back")
    ] * 2
    nothing = await ask(services, "dead-letters", "audit", "--by", "olga")
    assert (nothing.status, "nothing was done about messages at Order service" in nothing.err) == (0, True)


async def test_what_waits_is_asked_of_all_services_too(
    order: str, notification: str, orders_database: TestDatabase, notifications_database: TestDatabase
) -> None:
    await execute(orders_database.url, *waiting("order"))
    # The notification service would run its own if they were due.
    await execute(notifications_database.url, *waiting("notification"))
    services = {"order": order, "notification": notification, "order-relay": NOBODY}
    list_items = await ask(services, "deferred", "list")
    assert [f"5 rows of {whom}" in list_items.err for whom in (f"Order service ({order})", "Notification service")] == [
        True,
        True,
    ]
    one = await ask(services, "deferred", "list", "--service", "order", "--json")
    assert ({item["service"] for item in one.data["items"]}, len(one.data["asked"])) == ({"Order service"}, 1)
    by_url = await ask(services, "deferred", "list", "--status", "blocked", "--json", EVENT_TRIO_CONSUMER_URL=order)
    assert by_url.data["asked"] == [f"Order service ({order})"]
    refused = await ask(services, "deferred", "discard", "--group", "b", "--yes", *WHY)
    assert (refused.status, refused.out) == (1, "")
    assert "1 waiting event at Order service" in refused.err
    assert "--service NAME, or --service all; nothing was changed" in refused.err
    given_up = await ask(services, "deferred", "discard", "--group", "b", "--yes", "-S", "order", *WHY)
    assert (given_up.status, "discard: 1 waiting event\n" in given_up.err) == (0, True)
    shown = await ask(services, "deferred", "show", "b-1")
    assert (shown.status, f"Notification service ({notification})" in shown.out, order in shown.out) == (0, True, False)
    run = await ask({"order": order, "notification": NOBODY}, "deferred", "run", "b-1", "--yes", *WHY)
    assert (run.status, f"b-1 does not wait at Order service ({order})" in run.err) == (1, True)
    assert f"cannot reach {NOBODY}" in run.err


async def test_a_redrive_that_is_followed_says_what_came_of_it(
    notification: str, notifications_database: TestDatabase
) -> None:
    await execute(notifications_database.url, *three_letters("notification"))
    followed = await ask(
        {"notification": notification}, "dead-letters", "redrive", "--all", "--yes", "--wait", "--json", *WHY
    )
    assert followed.status == 1
    # What is no event cannot be handled, however often it runs.
    assert [item["became"].partition(":")[0] for item in followed.data["items"]] == ["dead again"] * 3
    assert "3 dead again" in followed.err
    brief = await ask(
        *({"notification": notification}, "dead-letters", "redrive", "--all", "--rate", "0.01", "--yes", "--wait"),
        *("--wait-seconds", "1", *WHY),
    )
    assert (brief.status, "2 waiting" in brief.err) == (1, True)


async def test_one_look_shows_every_service_and_why_it_is_not_well(order: str, outbox_database: TestDatabase) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        silent = f"http://127.0.0.1:{stopped.getsockname()[1]}"
        services = {"order": order, "billing": NOBODY, "order-relay": silent}
        soon = {"EVENT_TRIO_TIMEOUT_SECONDS": "3"}
        found = await ask(services, "status", "--json", **soon)
        table = await ask(services, "status", **soon)
        outbox = await ask(services, "outbox", "status", **soon)
    assert (found.status, found.data["well"]) == (1, False)
    rows: dict[str, Any] = {row["service"]: row for row in found.data["services"]}
    assert rows["order"]["state"] in {"ready", "degraded"}
    assert rows["billing"]["says"] == [
        f"cannot reach {NOBODY}: nothing listens there; the billing service is gone, or was not started"
    ]
    assert f"the relay of order-events does not answer at {silent}" in rows["order-relay"]["says"][0]
    assert "stopped or gone" in table.out
    assert (outbox.status, f"the relay of order-events does not answer at {silent}" in outbox.err) == (1, True)
