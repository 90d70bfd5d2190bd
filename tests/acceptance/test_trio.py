"""An order placed over REST is notified, even if a process is killed on the way."""

import asyncio

from tests.support.outbox import query
from tests.support.processes import service_process, together
from tests.support.trio import SystemEnvironment, Trio, relay
from tests.support.waiting import eventually

LIFE = ["order.placed", "order.confirmed", "order.shipped", "order.delivered"]


async def live(services: Trio, order_id: str) -> None:
    for action in ("confirm", "ship", "deliver"):
        await services.act(order_id, action)


async def test_each_transition_of_an_order_is_notified_in_order(services: Trio, ground: SystemEnvironment) -> None:
    async with relay(ground):
        order_id = await services.place(recipient="ada@example.com", locale="ko")
        await live(services, order_id)
        handled = await services.wait_until_handled(order_id, 4)
        assert [item["type"] for item in handled] == LIFE
        assert {item["outcome"] for item in handled} == {"handled"}
        notifications = await services.notifications(order_id)
        assert sorted(n["event_type"] for n in notifications) == sorted(LIFE)
        assert any("주문" in n["subject"] for n in notifications)

        async def published() -> bool:
            events = await services.events(order_id)
            assert [event["status"] for event in events] == ["published"] * 4
            return all(event["recorded_at"] <= event["sent_at"] <= event["published_at"] for event in events)

        await eventually(published)


async def test_events_of_the_notification_service_have_a_cause(services: Trio, ground: SystemEnvironment) -> None:
    async with relay(ground):
        correlation = "checkout-42"
        answer = await services.order.post(
            "/v1/orders",
            headers={"X-Correlation-ID": correlation, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
            json={
                "customer_id": "c-1", "recipient": "ada@example.com", "locale": "en", "currency": "EUR",
                "lines": [{"sku": "TEA", "quantity": 1, "unit_price": "1.00"}],
            },
        )  # fmt: skip
        order_id = answer.json()["id"]
        (handled,) = await services.wait_until_handled(order_id, 1)
    (sent,) = await query(
        ground.notifications.url, "SELECT convert_from(envelope, 'UTF8')::json AS e, subject FROM outbox_event"
    )
    (placed,) = await query(ground.orders.url, "SELECT convert_from(envelope, 'UTF8')::json AS e FROM outbox_event")
    assert correlation in placed["e"]
    assert "a" * 32 in placed["e"]
    assert correlation in sent["e"]
    assert handled["event_id"] in sent["e"]
    assert "ada@example.com" not in sent["e"]
    assert sent["subject"] == order_id


async def test_a_relay_killed_before_it_records_an_acknowledgement_loses_nothing(
    services: Trio, ground: SystemEnvironment
) -> None:
    async with relay(ground, "doomed", FAILPOINT="relay.acknowledged", LEASE_SECONDS="2", CALL_SECONDS="1") as doomed:
        order_id = await services.place()
        await live(services, order_id)
        await doomed.process.wait(30)
    rows = await query(ground.orders.url, "SELECT sent_at FROM outbox_event")
    assert [row["sent_at"] for row in rows] == [None] * 4, "it died before it recorded anything"
    async with relay(ground, "successor", LEASE_SECONDS="2", CALL_SECONDS="1"):
        handled = await services.wait_until_handled(order_id, 4)
        assert [item["type"] for item in handled] == LIFE
        assert len(await services.notifications(order_id)) == 4


async def test_a_notification_service_killed_during_an_event_has_one_effect(
    ground: SystemEnvironment,
) -> None:
    """Killed before the commit; tests/integration/test_notification_crashes.py kills it at every point."""
    environment = ground.environment(ground.notifications, "notification_api", VISIBILITY_SECONDS="4")
    dying = {**environment, "FAILPOINT": "consumer.before_commit"}
    orders = ground.environment(ground.orders, "order_api")
    async with together(
        service_process("services.order.main", orders, ground.folder),
        service_process("services.notification.main", dying, ground.folder / "doomed"),
        relay(ground),
    ) as (order, doomed, _):
        services = Trio(ground, order.api, doomed.api)
        order_id = await services.place()
        await doomed.process.wait(30)
        async with service_process("services.notification.main", environment, ground.folder) as successor:
            services = Trio(ground, order.api, successor.api)
            await services.wait_until_handled(order_id, 1)
            assert len(await services.notifications(order_id)) == 1
    effects = await query(ground.notifications.url, "SELECT subject, sequence FROM outbox_event")
    assert [(row["subject"], row["sequence"]) for row in effects] == [(order_id, 1)]


async def test_two_relays_keep_the_events_of_every_order_in_order(services: Trio, ground: SystemEnvironment) -> None:
    async with relay(ground, "one", LEASE_SECONDS="3", CALL_SECONDS="1"):
        async with relay(ground, "two", LEASE_SECONDS="3", CALL_SECONDS="1"):
            orders = [await services.place(customer_id=f"c-{i}") for i in range(12)]
            await asyncio.gather(*(live(services, order_id) for order_id in orders[:6]))
        # The second relay stopped meanwhile: the first takes over its lanes.
        await asyncio.gather(*(live(services, order_id) for order_id in orders[6:]))
        for order_id in orders:
            handled = await services.wait_until_handled(order_id, 4, timeout=60)
            assert [item["type"] for item in handled] == LIFE
            assert {item["outcome"] for item in handled} == {"handled"}


async def test_an_event_after_an_idle_period_is_processed_within_a_second_despite_slow_polling(
    services: Trio, ground: SystemEnvironment
) -> None:
    async with relay(ground, POLL_IDLE_SECONDS="60") as process:
        await services.wait_until_handled(await services.place(), 1)

        async def idle() -> bool:
            """Whether the poll interval has grown to a minute: the number of reads does not change."""
            before = await reads()
            await eventually(listener_probed)
            return await reads() == before

        async def reads() -> str:
            page = (await process.api.get("/metrics")).text
            return next(line for line in page.splitlines() if line.startswith("outbox_reads_total"))

        async def listener_probed() -> bool:
            return (await process.api.get("/readyz")).status_code == 200

        await eventually(idle)
        order_id = await services.place()
        (handled,) = await services.wait_until_handled(order_id, 1, timeout=5)
        (event,) = await services.events(order_id)
        recorded = await query(ground.orders.url, "SELECT recorded_at FROM outbox_event WHERE subject = $1", order_id)
        processed = await query(
            ground.notifications.url, "SELECT processed_at FROM processed_message WHERE subject = $1", order_id
        )
        waited = (processed[0]["processed_at"] - recorded[0]["recorded_at"]).total_seconds()
        assert waited < 1.0, f"{waited:.3f} s from {event['recorded_at']} to {handled['processed_at']}"
