"""Messages that are taken from every real queue are valid by the AsyncAPI documents and the served schemas."""

import json
from typing import Any

import httpx
import jsonschema

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.names import BrokerNames
from event_trio.contracts.orders import ORDER_EVENTS
from services.notification.domain import OutboundMessage
from services.notification.senders.sender import SendRejected
from tests.support.asyncapi_documents import message_problems
from tests.support.databases import TestDatabase
from tests.support.notification_service import RECIPIENT, notification_service
from tests.support.order_service import order_service, place
from tests.support.outbox import query
from tests.support.reported_topology import ACCOUNT
from tests.support.waiting import eventually

ORIGIN = "http://test"
ORDER_TYPES = {event.type for event in ORDER_EVENTS}


class ChoosySender:
    """A sender that notifies one customer and rejects the others."""

    channel = "mail"

    async def send(self, message: OutboundMessage) -> None:
        if message.address != RECIPIENT:
            raise SendRejected("no such user")


async def test_messages_from_every_queue_are_valid(
    orders_database: TestDatabase, notifications_database: TestDatabase, aws: Aws, topology: BrokerNames
) -> None:
    given: dict[str, Any] = {"public_url": ORIGIN, "failure_policies": "order.placed: publish_failure"}
    async with order_service(orders_database, public_url=ORIGIN, topology_prefix=topology.prefix) as orders:
        await _change_orders(orders)
        await _send(aws, topology.topic("order-events"), orders_database)
        check = topology.publish_check("order-events")
        await _validated(aws, orders, check, ORDER_TYPES)
        handled = ORDER_TYPES - {"order.held", "order.released"}
        await _validated(aws, orders, topology.queue("notification", "order-events"), handled, channel=check)
    async with notification_service(
        notifications_database, aws, topology.prefix, by=ChoosySender(), **given
    ) as notifications:

        async def all_handled() -> bool:
            return len(await notifications.items("/v1/processed-messages", limit=100)) == 6

        await eventually(all_handled, timeout=30)
        await _send(aws, topology.topic("notification-events"), notifications_database)
        check = topology.publish_check("notification-events")
        await _validated(aws, notifications.api, check, {"notification.sent", "notification.failed"})
        queue = topology.queue("order", "notification-events")
        await _validated(aws, notifications.api, queue, {"notification.failed"}, channel=check)


async def _change_orders(orders: httpx.AsyncClient) -> None:
    """Cause an event of each type, of two orders."""
    changes: dict[str, tuple[str, ...]] = {
        RECIPIENT: ("confirm", "ship", "deliver"),
        "nobody@example.com": ("hold", "release", "cancel"),
    }
    for recipient, actions in changes.items():
        order = await place(orders, None, recipient=recipient)
        for action in actions:
            body = {"reason": "because"} if action in ("hold", "cancel") else None
            answer = await orders.post(f"/v1/orders/{order['id']}/{action}", json=body)
            assert answer.is_success, answer.text


async def _send(aws: Aws, topic: str, database: TestDatabase) -> None:
    """Send the outbox as a relay does, without one: it would take the messages out of the publish check."""
    rows = await query(database.url, "SELECT subject, event_id, envelope, attributes FROM outbox_event ORDER BY id")
    async with sns(aws) as topics:
        for row in rows:
            await topics.publish(
                TopicArn=f"arn:aws:sns:{aws.region}:{ACCOUNT}:{topic}",
                Message=row["envelope"].decode(),
                MessageGroupId=row["subject"],
                MessageDeduplicationId=str(row["event_id"]),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in json.loads(row["attributes"]).items()
                },
            )


async def _validated(
    aws: Aws, publisher: httpx.AsyncClient, queue: str, types: set[str], *, channel: str | None = None
) -> None:
    """Wait until exactly these types are in the queue, and validate every message.

    Each is valid by the publisher's document, and its data by the schema at the URL in `dataschema`.
    """
    document = (await publisher.get("/asyncapi.json")).json()
    found: dict[str, str] = {}
    async with sqs(aws) as queues:
        url = (await queues.get_queue_url(QueueName=queue))["QueueUrl"]

        async def all_seen() -> bool:
            # Not deleted, and visible again soon, so that the subscriber still receives them.
            answer = await queues.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=2,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
            )
            for message in answer.get("Messages", []):
                event = json.loads(message.get("Body", ""))
                found[event["id"]] = message.get("Body", "")
                assert message.get("MessageAttributes", {})["type"].get("StringValue") == event["type"]
            assert {json.loads(body)["type"] for body in found.values()} == types
            return True

        await eventually(all_seen, timeout=20)
    (name,) = [name for name, each in document["channels"].items() if each["address"] == (channel or queue)]
    for body in found.values():
        assert message_problems(document, body, name) == []
        event = json.loads(body)
        assert event["dataschema"].startswith(f"{ORIGIN}/schemas/")
        schema = (await publisher.get(event["dataschema"])).json()
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(event["data"])
