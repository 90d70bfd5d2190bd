"""Each order event results in one notification, recorded and published in one transaction."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from event_trio.broker.aws import Aws
from event_trio.contracts.notifications import NotificationSent
from event_trio.contracts.orders import OrderCancelled, OrderConfirmed, OrderDelivered, OrderEvent, OrderShipped
from event_trio.envelope import Envelope
from tests.support.consuming import rows
from tests.support.databases import TestDatabase
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.notification_service import RECIPIENT, Order, notification_service, queue_name
from tests.support.waiting import eventually

OUTBOX = "SELECT envelope FROM outbox_event ORDER BY subject, sequence"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
async def queue(aws: Aws, prefix: str) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws, queue_name(prefix)) as made:
        yield made


async def stated(database: TestDatabase) -> list[Envelope]:
    return [Envelope.parse(envelope) for (envelope,) in await rows(database, OUTBOX)]


async def test_an_order_results_in_a_notification_and_an_event(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    placed = Order(locale="ko-KR").placed(traceparent=TRACE)
    async with notification_service(notifications_database, aws, prefix) as service:
        await queue.send(placed)
        await service.completed(placed)
        [shown] = await service.items("/v1/notifications", order_id=placed.subject)
        [processed] = await service.items("/v1/processed-messages", event_id=str(placed.id))
        metrics = (await service.api.get("/metrics")).text
    assert shown["event_id"] == str(placed.id)
    assert (shown["channel"], shown["status"], shown["locale"]) == ("log", "sent", "ko")
    assert shown["recipient"] == RECIPIENT
    assert "주문" in shown["subject"]
    assert (processed["outcome"], processed["sequence"], processed["subject"]) == ("handled", 1, placed.subject)

    [sent] = await stated(notifications_database)
    assert (sent.type, sent.source, sent.subject) == ("notification.sent", "/services/notification", placed.subject)
    assert (sent.partitionkey, sent.sequence_number) == (placed.subject, 1)
    assert (sent.correlationid, sent.causationid) == (placed.correlationid, str(placed.id))
    assert sent.traceparent == TRACE
    payload = NotificationSent.model_validate(sent.data)
    assert (payload.notification_id, payload.cause_type) == (UUID(shown["id"]), "order.placed")
    assert 'consumer_events_total{outcome="handled",type="order.placed"} 1.0' in metrics

    for said in (sent.to_bytes().decode(), metrics, capsys.readouterr().out):
        assert RECIPIENT not in said


async def test_the_events_of_an_order_are_notified_in_order_and_counted(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue
) -> None:
    order = Order()
    life: list[type[OrderEvent]] = [OrderConfirmed, OrderShipped, OrderDelivered]
    events = [order.placed(), *(order.event(payload) for payload in life), order.event(OrderCancelled, reason="late")]
    async with notification_service(notifications_database, aws, prefix) as service:
        for event in events:
            await queue.send(event)
        await service.completed(events[-1])
        await eventually(queue.is_empty)
        pages = [await service.api.get("/v1/notifications", params={"limit": 3})]
        pages.append(await service.api.get("/v1/notifications", params={"cursor": pages[0].json()["next_cursor"]}))
        one = await service.api.get(f"/v1/notifications/{pages[0].json()['items'][0]['id']}")
        missing = await service.api.get(f"/v1/notifications/{order.id}")
        inbox = await service.api.get("/v1/processed-messages", params={"subject": str(order.id), "limit": 2})
        more = {"subject": str(order.id), "cursor": inbox.json()["next_cursor"]}
        rest = await service.items("/v1/processed-messages", **more)
    shown = [item for page in pages for item in page.json()["items"]]
    assert [item["event_type"] for item in shown] == [event.type for event in reversed(events)]
    assert pages[1].json()["next_cursor"] is None
    assert one.json() == shown[0]
    assert missing.status_code == 404
    assert [item["sequence"] for item in [*inbox.json()["items"], *rest]] == [5, 4, 3, 2, 1]
    found = await stated(notifications_database)
    assert [event.sequence_number for event in found] == [1, 2, 3, 4, 5]
    assert [event.causationid for event in found] == [str(event.id) for event in events]


async def test_an_unknown_recipient_is_a_dead_letter(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue
) -> None:
    lone = Order().event(OrderConfirmed)
    async with notification_service(notifications_database, aws, prefix) as service:
        await queue.send(lone)
        await service.completed(lone, "dead_letter")
        [letter] = await service.items("/v1/dead-letters")
        unheard = Order().placed(type="order.imagined")
        await queue.send(unheard)
        await service.completed(unheard, "dead_letter")
        newest = await service.api.get("/v1/dead-letters", params={"limit": 1})
        older = await service.items("/v1/dead-letters", cursor=newest.json()["next_cursor"])
    assert (letter["event_id"], letter["reason"], letter["attempts"]) == (str(lone.id), "rejected", 0)
    assert "The recipient of this order is unknown" in letter["error"]
    assert newest.json()["items"][0]["reason"] == "unknown_type"
    assert older == [letter]
    assert await stated(notifications_database) == []


async def test_a_missing_queue_is_reported_and_waited_for(
    notifications_database: TestDatabase, aws: Aws, prefix: str
) -> None:
    placed = Order().placed()
    async with notification_service(notifications_database, aws, prefix) as service:

        async def lacks_queue() -> bool:
            answer = await service.api.get("/readyz")
            return answer.status_code == 503 and queue_name(prefix) in answer.json()["checks"]["queue"]["detail"]

        async def is_ready() -> bool:
            return bool((await service.api.get("/readyz")).json()["status"] == "ready")

        await eventually(lacks_queue)
        async with fifo_queue(aws, queue_name(prefix)) as made:
            await eventually(is_ready)
            await made.send(placed)
            await service.completed(placed)
        await eventually(lacks_queue)


async def test_the_relay_is_woken_after_the_commit(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue
) -> None:
    rung = asyncio.Event()
    listener = await asyncpg.connect(notifications_database.url_for("notification_relay"))
    await listener.add_listener("outbox", lambda *_: rung.set())
    try:
        async with notification_service(notifications_database, aws, prefix) as service:
            placed = Order().placed()
            await queue.send(placed)
            await service.completed(placed)
            await asyncio.wait_for(rung.wait(), 10)
    finally:
        await listener.close()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/notifications?limit=0", "limit"),
        ("/v1/notifications?order_id=x", "order_id"),
        ("/v1/notifications?cursor=x", "cursor"),
        ("/v1/processed-messages?cursor=WyJ4IiwgInkiXQ", "cursor"),
        ("/v1/processed-messages?subject=%00", "subject"),
        ("/v1/dead-letters?cursor=x", "cursor"),
    ],
)
async def test_invalid_input_is_reported_by_field(
    path: str, field: str, notifications_database: TestDatabase, aws: Aws, prefix: str
) -> None:
    async with notification_service(notifications_database, aws, prefix) as service:
        answer = await service.api.get(path)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
