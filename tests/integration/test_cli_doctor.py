"""`event-trio doctor` on a real system: nothing on a healthy one, and each kind of problem by its code."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from event_trio.broker.aws import sns, sqs
from event_trio.broker.queue import Queue
from tests.support.databases import execute
from tests.support.letters import three_letters
from tests.support.operators import refuse
from tests.support.outbox import query
from tests.support.stack import Stack
from tests.support.waiting import eventually

LANE = 7
# A lane that no relay can take, as if all relays overlooked it.
FREE_LANE = (
    "CREATE FUNCTION keep_free() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    f"UPDATE outbox_lane SET owner = NULL WHERE lane = {LANE}",
    f"CREATE TRIGGER free BEFORE UPDATE ON outbox_lane FOR EACH ROW WHEN (OLD.lane = {LANE})"
    " EXECUTE FUNCTION keep_free()",
)
# Leased by nobody, and never found: the worker of the service looks for the consumer `notification` only by its index.
OVERDUE = (
    "INSERT INTO processed_message (consumer, event_id, message_id, outcome) VALUES"
    " ('notification', 'd-1', 'm', 'dead_letter'), ('notification', 'd-2', 'm', 'deferred')",
    "INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, reason, blocks, due_at,"
    " envelope) VALUES ('notification', 'd-1', 'm', 'd', 'dead', 'failed', true, NULL, ''),"
    " ('notification', 'd-2', 'm', 'd', 'waiting', 'failed', true, now() - interval '5 minutes', '')",
)


async def codes(system: Stack, *process: str) -> dict[str, set[str]]:
    """The codes of the problems that doctor finds, with the processes that have them."""
    result = await system.run("doctor", "--json", EVENT_TRIO_TIMEOUT_SECONDS="3")
    found: dict[str, set[str]] = {}
    for each in result.data["problems"]:
        assert each["why"]
        assert each["remedy"]
        found.setdefault(each["code"], set()).add(each["process"])
    assert result.status == (1 if found else 0), result.err
    assert result.data["healthy"] is not bool(found)
    return found


async def test_a_healthy_system_has_no_problem_and_stored_ones_are_found(system: Stack) -> None:
    order = await system.place()
    await system.settled(order)
    assert await codes(system) == {}
    healthy = await system.run("doctor")
    assert (healthy.status, healthy.out, healthy.err) == (0, "no problem was found\n", "4 processes examined\n")

    held = (await system.get("order", "/v1/recorded-events", subject=order))["items"][0]
    await query(system.orders.url, "UPDATE outbox_event SET published_at = NULL, sent_at = NULL RETURNING 1")
    await refuse(system.orders, held["event_id"])
    await execute(system.orders.url, *three_letters("order"))
    await execute(system.notifications.url, *OVERDUE, *FREE_LANE)
    await execute(system.notifications.url, "UPDATE alembic_version SET version_num = '0001'")
    assert await codes(system) == {
        "group-held": {"order-relay"},
        "dead-letters": {"order", "notification"},
        "deferred-overdue": {"notification"},
        "lane-without-relay": {"notification-relay"},
        "migrations-behind": {"notification"},
    }
    drawn = await system.run("doctor")
    assert drawn.status == 1
    for part in (
        f"group {order} is held",
        f"./event-trio outbox show {order} --service order-relay",
        "3 dead letters",
        "first d-2 of group d",
        "it waits for event d-1",
        f"no live relay owns the lanes {LANE} (1)",
        "python -m services.notification.migrate",
    ):
        assert part in drawn.out, part


async def test_each_change_of_the_broker_is_found(system: Stack) -> None:
    names = system.names
    notification, order = names.queue("notification", "order-events"), names.queue("order", "notification-events")
    check = names.publish_check("order-events")
    async with sqs(system.aws) as queues, sns(system.aws) as topics:
        await queues.delete_queue(QueueUrl=await Queue(queues, check).url())
        await queues.delete_queue(QueueUrl=await Queue(queues, order).url())
        url = await Queue(queues, notification).url()
        await queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
        arn = (await Queue(queues, notification).attributes())["QueueArn"]
        topic = arn.rpartition(":")[0].replace(":sqs:", ":sns:") + f":{names.topic('order-events')}"
        listed = (await topics.list_subscriptions_by_topic(TopicArn=topic))["Subscriptions"]
        (own,) = [each["SubscriptionArn"] for each in listed if each["Endpoint"] == arn]
        await topics.set_subscription_attributes(
            SubscriptionArn=own, AttributeName="FilterPolicy", AttributeValue=json.dumps({"type": ["order.placed"]})
        )

    async def are_found() -> bool:
        found = await codes(system)
        assert found.pop("publish-check-missing") == {"order-relay"}
        assert found.pop("queue-missing") == {"order"}
        assert found.pop("policy-missing") == {"notification"}
        assert found.pop("filter-differs") == {"notification"}
        assert found == {}
        return True

    await eventually(are_found, timeout=40.0)
    drawn = await system.run("doctor")
    assert f"the filter of {notification} lacks order.cancelled, order.confirmed, order.delivered" in drawn.out
    shown = await system.run("topology", "show")
    assert f"queue {order} does not exist" in " ".join(shown.out.split())


class AheadClock:
    """A clock that is two minutes ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=2)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def test_processes_that_are_down_or_differ_are_found(system: Stack) -> None:
    await system.stop("order-relay", "notification", "order")
    await system.start("order", system.order(clock=AheadClock()))
    await system.start("notification", system.notification(topology_prefix="other-"))
    keys = {"auth_jwks": "http://127.0.0.1:9/keys", "auth_issuer": "me", "auth_audience": "you"}
    await system.start("billing", system.order(consuming=False, **keys))
    token = {"EVENT_TRIO_TOKEN": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.c2ln"}
    result = await system.run("doctor", "--json", EVENT_TRIO_TIMEOUT_SECONDS="3", **token)
    found = {(each["code"], each["process"]) for each in result.data["problems"]}
    assert found >= {
        ("relay-down", "order-relay"),
        ("clock-skew", "order"),
        ("prefix-differs", "notification"),
        ("queue-missing", "notification"),
        ("key-set-unreachable", "billing"),
    }
    assert result.status == 1
