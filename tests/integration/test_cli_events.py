"""`event-trio event show`, `events tail` and `topology show` on a real system."""

import asyncio
import json
import os
import signal
from typing import Any

from tests.support.databases import execute
from tests.support.sources import ROOT
from tests.support.stack import Stack
from tools.cli.addresses import VARIABLE

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"X-Correlation-Id": "checkout-7", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


def outline(event: dict[str, Any]) -> tuple[str, list[tuple[str, str]], list[Any]]:
    """The type of an event, its legs with the service of each, and the events that it caused."""
    legs = [(leg["name"], leg["service"]) for leg in event["legs"]]
    return event["type"], legs, [outline(caused) for caused in event["caused"]]


async def test_the_journey_of_an_order_is_drawn_over_all_services(system: Stack) -> None:
    order = await system.place(HEADERS)
    await system.settled(order)
    shown = await system.run("event", "show", "--order", order, "--json")
    assert shown.status == 0, shown.err
    (placed,) = shown.data["events"]
    kind, legs, caused = outline(placed)
    assert (kind, shown.data["complete"]) == ("order.placed", True)
    assert set(legs) == {
        *(("recorded", "order"), ("sent", "order"), ("published", "order")),
        ("handled", "notification"),
    }
    assert legs[0] == ("recorded", "order")
    assert [each[0] for each in caused] == ["notification.sent"]
    assert {("recorded", "notification"), ("sent", "notification"), ("published", "notification")} <= set(caused[0][1])
    handled = next(leg for leg in placed["legs"] if leg["name"] == "handled")
    # The broker may deliver an event before it acknowledges it, so that this may be less than nothing.
    assert (handled["since"], -1000 < handled["milliseconds"] < 30_000) == ("sent", True)
    for arguments in (
        [placed["event_id"]],
        ["--correlation", "checkout-7"],
        ["--trace", TRACE],
        ["--trace", HEADERS["traceparent"]],
    ):
        again = await system.run("event", "show", *arguments, "--json")
        assert (again.status, [outline(each) for each in again.data["events"]]) == (0, [(kind, legs, caused)]), (
            arguments
        )
    only = await system.run("event", "show", placed["caused"][0]["event_id"], "--json")
    assert [each["type"] for each in only.data["events"]] == ["notification.sent"]
    drawn = await system.run("event", "show", "--order", order)
    assert drawn.err == "2 events\n"
    lines = drawn.out.splitlines()
    assert lines[0] == f"order.placed  {placed['event_id']}  subject {order}  sequence 1"
    assert max(map(len, lines)) < 200
    assert any("notification: handled" in line and "ms after sent" in line for line in lines)
    none = await system.run("event", "show", "01999999-0000-7000-8000-000000000000")
    assert (none.status, none.out) == (1, "")
    assert "no event was found at order, notification, order-relay, notification-relay" in none.err
    confused = await system.run("event", "show", order)
    assert f"if this is the id of an order: --order {order}" in confused.err


async def test_what_operators_did_is_part_of_the_journey(system: Stack) -> None:
    order = await system.place()
    await system.settled(order)
    (event,) = (await system.get("order", "/v1/recorded-events", subject=order))["items"]
    replayed = await system.run(
        *("outbox", "replay", "--event", event["event_id"], "--reason", "a test", "--yes", "--service", "order")
    )
    assert replayed.status == 0, replayed.err
    for selected in ((event["event_id"],), ("--order", order)):
        journey = await system.run("event", "show", *selected)
        assert "order: replay" in journey.out, selected
        assert "by local: a test" in journey.out, selected
    await execute(
        system.notifications.url,
        f"UPDATE processed_message SET outcome = 'dead_letter' WHERE event_id = '{event['event_id']}'",
        "INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, reason, error, attempts,"
        f" envelope) SELECT consumer, event_id, message_id, '{order}', 'dead', 'failed', 'SMTP says no', 4, ''"
        f" FROM processed_message WHERE event_id = '{event['event_id']}'",
    )
    await system.stop("notification-relay")
    shown = await system.run("event", "show", event["event_id"])
    assert (shown.status, "notification-relay: cannot reach" in shown.err) == (1, True)
    assert "order: sent again" in shown.out
    assert "replayed once" in shown.out
    assert "notification: dead letter" in shown.out
    assert "failed; 4 failed attempts; SMTP says no" in shown.out


async def test_events_are_followed_and_a_service_that_is_away_is_named(system: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(ROOT / "event-trio"), "events", "tail", "--json"),
        env={**os.environ, VARIABLE: system.declared},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    assert b"following order, notification" in await process.stderr.readline()
    await system.stop("notification")
    async with asyncio.timeout(40):
        assert b"notification is away" in await process.stderr.readline()
        order = await system.place()
        steps = [json.loads(await process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, b"Traceback" in err) == (0, False)
    found = [(step["service"], step["name"], step["type"], step["subject"]) for step in steps]
    assert found == [("order", name, "order.placed", order) for name in ("recorded", "sent", "published")]
    assert steps[1]["milliseconds_since_recorded"] > 0
    past = await system.run("events", "tail", "--since", "10m", "--order", order, "--count", "3")
    assert past.status == 0
    assert [line.split()[1:3] for line in past.out.splitlines()] == [
        ["order", "recorded"],
        ["order", "sent"],
        ["order", "published"],
    ]


async def test_the_running_topology_is_drawn(system: Stack) -> None:
    shown = await system.run("topology", "show", "--json")
    assert (shown.status, shown.data["complete"]) == (0, True)
    names = system.names
    topics = {topic["name"]: topic for topic in shown.data["topics"]}
    orders = topics[names.topic("order-events")]
    assert (set(topics), orders["published_by"]) == (
        {names.topic("order-events"), names.topic("notification-events")},
        ["order-relay"],
    )
    assert orders["publish_check"]["name"] == names.publish_check("order-events")
    (consumer,) = orders["consumers"]
    assert (consumer["service"], consumer["queue"]["name"]) == (
        "notification",
        names.queue("notification", "order-events"),
    )
    assert {each["type"] for each in consumer["handles"]} == set(consumer["topic"]["subscriptions"][0]["types"])
    drawn = await system.run("topology", "show")
    for part in ("topic", names.publish_check("order-events"), "read by notification", "types order.cancelled"):
        assert part in drawn.out
