"""The numbers in the prose of the guides to building and running."""

import json
from inspect import signature

from event_trio.broker.queue import BATCH
from event_trio.consumer.options import ConsumerOptions
from event_trio.consumer.pipeline.failures import UNCOUNTED_FAILURES
from event_trio.consumer.policies import IN_PLACE_SECONDS, LATER_ATTEMPTS
from event_trio.consumer.queue_surroundings import DEAD_LETTER_WAIT_SECONDS
from event_trio.consumer.router import LONGEST_TIMEOUT, Router
from event_trio.consumer.sources.dead_letter_queues import DeadLetterQueueDrain
from event_trio.http.body_limit import DEFAULT_BYTES as LARGEST_BODY
from event_trio.idempotency.response_store import WAIT_SECONDS
from event_trio.inbox.selection import MOST
from event_trio.outbox.limits import DEFAULT_BYTES, LARGEST_BYTES
from infra.localstack.watch import COMPARE_SECONDS
from services.notification.settings import NotificationSettings
from services.order.schemas import PlaceOrder
from services.order.settings import OrderSettings
from services.relay.settings import RelaySettings
from services.relay.wal import slots
from tests.support.prose_numbers import Aws, Code, Entry, Example, Measured, attribute, cost, default
from tests.support.sources import ROOT
from tools.demo.scenario import ORDERS, ORDERS_PER_SECOND

ORDER_API = json.loads((ROOT / "docs" / "reference" / "openapi" / "order.json").read_text(encoding="utf-8"))
LIMIT = next(found for found in ORDER_API["paths"]["/v1/orders"]["get"]["parameters"] if found["name"] == "limit")
MONTH = 30 * 86_400
CHECKS = MONTH / default(RelaySettings, "publish_check_wait_seconds")
QUEUE = "notification-order-events"
TIMEOUT = signature(Router.handle).parameters["timeout"].default
KEPT = attribute(QUEUE, "Queue", "MessageRetentionPeriod")
DRAIN_EVERY = DEAD_LETTER_WAIT_SECONDS + signature(DeadLetterQueueDrain).parameters["idle_seconds"].default
PRICE_OF_PUBLISHES, PRICE_OF_REQUESTS = 0.30, 0.50
RUN = "times of one run, which its page says"
QUOTAS = "Amazon SNS Developer Guide, quotas; Amazon SQS Developer Guide, quotas of messages"

GUIDES: dict[str, tuple[Entry, ...]] = {
    "README.md": (Measured("takes about a minute, because it installs", "make demo"),),
    "docs/how-to/add-a-service.md": (Code("Events wait in the queue (7 days)", KEPT),),
    "docs/how-to/call-the-api.md": (
        Code("if it comes within 5 s;", WAIT_SECONDS),
        Code("in pages of `limit` (up to 100)", LIMIT["schema"]["maximum"]),
        Code("the body is above 64 KiB", LARGEST_BODY),
        Code("up to 100 lines", PlaceOrder.model_json_schema()["properties"]["lines"]["maxItems"]),
    ),
    "docs/how-to/deploy-to-aws-topology.md": (
        Code("Queues take 1 MiB whatever", attribute(QUEUE, "Queue", "MaximumMessageSize")),
        Code("every half minute", COMPARE_SECONDS),
    ),
    "docs/how-to/kill-parts-of-it.md": (
        Code("after 15 seconds (`LEASE_SECONDS`)", default(RelaySettings, "lease_seconds")),
        Example("sends the three orders at once", "those of the example above"),
        Example("about eleven seconds later", RUN),
        Code("handled a minute later", default(NotificationSettings, "visibility_seconds")),
        Example("took 63 ms", RUN),
        Example("After 16 seconds:", RUN),
        Example("0.7 seconds later", RUN),
    ),
    "docs/how-to/run-on-aws.md": (
        Code(
            "a backlog of 10,000 events needs some 420 statements for it and writes 1.9 KB of WAL",
            cost("relay", "events"),
            round(cost("relay", "events") * cost("relay", "statements"), -1),
            round(cost("relay", "wal_bytes"), -2),
        ),
        Code("25 seconds for the notification service, 10 seconds for the others",
             default(NotificationSettings, "drain_seconds"), default(RelaySettings, "drain_seconds")),
        Aws("ECS's default is 30 seconds", "Amazon ECS Developer Guide, task definition parameters, stopTimeout"),
        Example("memory of 256 MB", "an advice; compose gives each service twice as much"),
        Aws("3,000 messages/s or 20 MB/s", QUOTAS),
        Aws("30,000/s in us-east-1, 9,000/s in eu-west-1 and us-west-2; about 300/s for one message group", QUOTAS),
        Aws("300 calls/s a partition; in sum up to 70,000/s", QUOTAS),
        Aws("120,000, and no more than the first 120,000 are looked through",
            "Amazon SQS Developer Guide, avoiding a backlog with the same message group ID"),
        Code("256 KiB by default, up to 1 MiB:", DEFAULT_BYTES, LARGEST_BYTES),
        Aws("a change takes up to 15 minutes", "Amazon SNS Developer Guide, message filtering for FIFO topics"),
        Aws("14 days at the most", "Amazon SQS API Reference, CreateQueue"),
        Code("7 days here", KEPT),
        Example("The cost of a million events", "a heading"),
        Code("a relay makes 0.1 calls to publish and 0.3 calls in all per event",
             cost("relay", "publish_calls"), round(cost("relay", "aws_calls"), 1)),
        Example("three calls each", "a publish, a receive and a delete"),
        Code("A consumer makes 0.2 calls", round(cost("consumer", "aws_calls"), 1)),
        Code("(two calls for ten messages)", round(cost("consumer", "aws_calls") * BATCH), BATCH),
        Example("otherwise two calls", "a receive and a delete"),
        Code("| publishes | 0.1 M | 1 M |", cost("relay", "publish_calls"), 1),
        Code("receives and deletes of the publish check | 0.2 M | 2 M |",
             round(cost("relay", "aws_calls") - cost("relay", "publish_calls"), 1), 2),
        Code("receives and deletes of the subscriber | 0.2 M | 2 M |", round(cost("consumer", "aws_calls"), 1), 2),
        Example("at $0.30 per million publishes and $0.50 per million SQS requests", "prices, second-hand"),
        Code("| $0.23 | $2.30 |",
             round(0.1 * PRICE_OF_PUBLISHES + 0.4 * PRICE_OF_REQUESTS, 2),
             round(1 * PRICE_OF_PUBLISHES + 4 * PRICE_OF_REQUESTS, 2)),
        Code("some 345 bytes", cost("relay", "payload_bytes")),
        Code("every 5 seconds (`PUBLISH_CHECK_WAIT_SECONDS`)", default(RelaySettings, "publish_check_wait_seconds")),
        Code("half a million requests or $0.26 a month",
             round(CHECKS, -5), round(CHECKS / 1_000_000 * PRICE_OF_REQUESTS, 2)),
        Code("its queue every 20 seconds (`QUEUE_WAIT_SECONDS`; the order service every 5 seconds)",
             default(NotificationSettings, "queue_wait_seconds"), default(OrderSettings, "queue_wait_seconds")),
        Code("each of its two dead-letter queues every 11 seconds or so", DRAIN_EVERY),
    ),
    "docs/how-to/read-the-write-ahead-log.md": (
        Example("ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'", "a limit as it may be"),
        Code("and after 30 seconds names", slots.CREATE_SECONDS),
    ),
    "docs/how-to/run-the-demo.md": (Code("places 200 orders at 20 a second", ORDERS, ORDERS_PER_SECOND),),
    "docs/how-to/use-it-in-your-project.md": (
        Code("changes at most 1,000 messages", MOST),
        Code("takes up to 20 seconds, until its last long poll", ConsumerOptions().queue_wait_seconds),
    ),
    "docs/how-to/use-the-console.md": (
        Measured("10,000 dead letters", "make console-times"),
        Measured("1,000 groups", "make console-times"),
        Measured("1,000 held groups", "make console-times"),
        Measured("a median of 98 ms", "make console-times"),
        Measured("it was 35 ms", "make console-times"),
        Measured("up to 418 ms", "make console-times"),
    ),
    "docs/how-to/write-a-consumer.md": (
        Code("up to thirty times in a row", UNCOUNTED_FAILURES),
        Code("after 30 seconds (`timeout=`, at most 240 seconds)", TIMEOUT, LONGEST_TIMEOUT),
        Code("for at most 60 seconds in all", IN_PLACE_SECONDS),
        Code("at most 60 seconds of waits and attempts", IN_PLACE_SECONDS),
        Code("at most 10 attempts in all", LATER_ATTEMPTS),
    ),
}  # fmt: skip
