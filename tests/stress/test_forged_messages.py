"""Messages of nobody in every queue of the topology: each is reported, none has an effect, and nothing else waits."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from event_trio.broker.aws import sqs
from event_trio.envelope import uuid7
from tests.support.databases import fetch
from tests.support.stack import Stack
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

UNREADABLE = ("garbage", "{}", "[1]", "null", '"text"', "[" * 5000, '{"specversion":"1.0"}')
DRAINED = {"dlq": "received_too_often", "undelivered": "undelivered"}
"""The reason of everything that is drained from these queues, by the end of their names."""
FOREIGN = "outbox_publish_check_foreign_total"
EMPTY = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


def envelope(kind: str = "order.placed", **changed: object) -> dict[str, Any]:
    """A complete event that nobody recorded."""
    subject = str(uuid4())
    data = {
        "order_id": subject, "customer_id": "mallory", "recipient": "mallory@example.com", "locale": "en",
        "currency": "EUR", "total": "1.00", "lines": [{"sku": "TEA-1", "quantity": 1, "unit_price": "1.00"}],
    }  # fmt: skip
    return {
        "specversion": "1.0", "id": str(uuid7()), "source": "/services/order", "type": kind, "subject": subject,
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "dataschema": f"https://example.com/{kind}/1",
        "datacontenttype": "application/json", "partitionkey": subject, "sequence": f"{1:020}", "data": data,
        "correlationid": "mallory", **changed,
    }  # fmt: skip


def wrong() -> dict[str, str]:
    """Bodies that no consumer handles, with the reason of each."""
    bodies = dict.fromkeys(UNREADABLE, "unreadable")
    bodies |= {json.dumps({"Type": "Notification", "Message": json.dumps(envelope())}): "unreadable"}
    bodies |= {
        json.dumps(envelope(**changed)): "unreadable"
        for changed in ({"sequence": "x"}, {"id": f"not-{uuid4()}"}, {"time": "today"}, {"specversion": "9"})
    }
    bodies |= {json.dumps(envelope("order.archived")): "unknown_type"}
    return bodies


async def names(queues: "SQSClient", prefix: str) -> list[str]:
    """Every queue of the topology."""
    found = (await queues.list_queues(QueueNamePrefix=prefix)).get("QueueUrls", [])
    return sorted(url.rpartition("/")[2].removeprefix(prefix) for url in found)


async def put(queues: "SQSClient", queue: str, body: str, *, group: str | None = None, id: str | None = None) -> None:
    url = (await queues.get_queue_url(QueueName=queue))["QueueUrl"]
    await queues.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group or str(uuid4()), MessageDeduplicationId=id or str(uuid4())
    )


async def foreign(system: Stack, relay: str) -> float:
    """How many foreign messages a relay's publish check has counted."""
    async with httpx.AsyncClient(base_url=system.urls[relay]) as api:
        lines = (await api.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(FOREIGN))


async def post(system: Stack, name: str, path: str, body: Mapping[str, Any] | None = None) -> None:
    async with httpx.AsyncClient(base_url=system.urls[name]) as api:
        answer = await api.post(path, json=body)
        assert answer.is_success, answer.text


async def test_forged_messages_in_every_queue(system: Stack) -> None:
    order, prefix = await system.place(), system.names.prefix
    await system.settled(order)
    expected: dict[str, list[str]] = {"order": [], "notification": []}
    checks: dict[str, int] = {}
    async with sqs(system.aws) as queues:
        found = await names(queues, prefix)
        assert len(found) == 8, found
        for queue in found:
            bodies = wrong()
            # One of them in the group of an order, whose later events must not wait.
            groups = {"garbage": order}
            await asyncio.gather(*(put(queues, f"{prefix}{queue}", body, group=groups.get(body)) for body in bodies))
            service = queue.partition("-")[0]
            if queue.endswith("-publish-check.fifo"):
                await put(queues, f"{prefix}{queue}", json.dumps(envelope()))
                checks[f"{service}-relay"] = len(bodies) + 1
            else:
                suffix = next((each for each in DRAINED if queue.endswith(f"-{each}.fifo")), "")
                expected[service] += [DRAINED[suffix]] * len(bodies) if suffix else bodies.values()
        await post(system, "order", f"/v1/orders/{order}/confirm")
        others = [await system.place() for _ in range(3)]
        for each in (order, *others):
            await system.settled(each)

        async def reported() -> bool:
            for service, reasons in expected.items():
                listed = (await system.get(service, "/v1/dead-letters", limit=100))["items"]
                assert sorted(item["reason"] for item in listed) == sorted(reasons), service
            for relay, count in checks.items():
                assert await foreign(system, relay) == count, relay
            return True

        await eventually(reported, timeout=30.0)
        await eventually(lambda: drained(queues, prefix), timeout=30.0)
    assert {entry["type"] for entry in await processed(system, order)} == {"order.placed", "order.confirmed"}
    assert await fetch(system.notifications.url, "SELECT 1 FROM notification WHERE recipient LIKE 'mallory%'") == []


async def drained(queues: "SQSClient", prefix: str) -> bool:
    """Whether every queue is empty; raises AssertionError otherwise."""
    for queue in await names(queues, prefix):
        url = (await queues.get_queue_url(QueueName=f"{prefix}{queue}"))["QueueUrl"]
        counts = (await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
        assert [value for name, value in counts.items() if name in EMPTY] == ["0"] * len(EMPTY), (queue, counts)
    return True


async def processed(system: Stack, order: str) -> list[dict[str, Any]]:
    return list((await system.get("notification", "/v1/processed-messages", subject=order))["items"])


async def test_a_valid_event_of_nobody_is_handled_and_then_found(system: Stack) -> None:
    """Nothing in a message is signed: the policies of the queue keep others out, and a comparison finds what came."""
    forged, queue = envelope(), f"{system.names.prefix}notification-order-events.fifo"
    order = await system.place()
    await system.settled(order)
    async with sqs(system.aws) as queues:
        await put(queues, queue, json.dumps(forged))

        async def handled() -> bool:
            return bool(await processed(system, str(forged["subject"])))

        await eventually(handled, timeout=30.0)
    shown = await system.run("events", "unknown", "--since", "1h", "--json")
    assert shown.status == 1
    assert [event["event_id"] for event in shown.data["events"]] == [forged["id"]]


async def test_a_tampered_copy_of_an_event_has_no_effect(system: Stack) -> None:
    order, prefix = await system.place(), system.names.prefix
    await system.settled(order)
    rows = await fetch(system.orders.url, "SELECT convert_from(envelope, 'UTF8') AS body FROM outbox_event")
    copy = json.loads(rows[0]["body"])
    copy["data"]["recipient"] = "mallory@example.com"
    async with sqs(system.aws) as queues:
        for queue in await names(queues, prefix):
            if queue.startswith("notification-order-events"):
                await put(queues, f"{prefix}{queue}", json.dumps(copy), group=order)
        await eventually(lambda: drained(queues, prefix), timeout=30.0)
    assert len(await processed(system, order)) == 1
    assert await fetch(system.notifications.url, "SELECT 1 FROM notification WHERE recipient LIKE 'mallory%'") == []
    assert (await system.get("notification", "/v1/dead-letters"))["items"] == []


async def test_a_confirmation_of_an_event_that_was_not_sent_changes_nothing(system: Stack) -> None:
    prefix = system.names.prefix
    await post(system, "order-relay", "/v1/outbox/pause", {"reason": "because"})
    order = await system.place()
    (event,) = await fetch(
        system.orders.url, "SELECT event_id::text AS id, convert_from(envelope, 'UTF8') AS body FROM outbox_event"
    )
    async with sqs(system.aws) as queues:
        # As if it had been sent again: the id of its first sending would let SQS drop the real confirmation.
        forged = f"{event['id']}.1"
        await put(queues, f"{prefix}order-events-publish-check.fifo", event["body"], group=order, id=forged)
        await eventually(lambda: drained(queues, prefix), timeout=30.0)
    (recorded,) = (await system.get("order", "/v1/recorded-events", subject=order))["items"]
    assert recorded["state"] == "recorded"
    await post(system, "order-relay", "/v1/outbox/resume", {"reason": "because"})
    await system.settled(order)
