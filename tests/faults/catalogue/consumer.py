"""Faults of consumers and of what arrives in their queue."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.broker.aws import sqs
from event_trio.database.connections import create_engine
from event_trio.inbox import By, DeadLetters, Selection
from tests.faults.proxies import broker_faults as faults
from tests.faults.proxies.broker import Forward
from tests.faults.proxies.http import Message
from tests.faults.registry import fault
from tests.faults.rows import unresolved_rows
from tests.faults.run import Run
from tests.faults.system import SINK
from tests.support.databases import fetch

SLOW = 90.0
"""A message that a killed consumer had received comes again when its visibility ends."""
DEAD = "SELECT count(*) FROM deferred_message WHERE status = 'dead'"


async def killed_at(run: Run, failpoint: str) -> None:
    """Start the consumers so that they kill themselves at this point; then they run as usual."""
    await asyncio.gather(*(consumer.restart({"FAILPOINT": failpoint}) for consumer in run.system.consumers))

    async def died() -> bool:
        return all(any(at >= run.began for at, _ in consumer.ends) for consumer in run.system.consumers)

    await run.until(died, timeout=40.0)
    await run.more_effects(3, timeout=80.0)


@fault(35, "consumer killed before its effect", "P2", "consumers", "sink_broker", drain_seconds=SLOW)
async def killed_before_effect(run: Run) -> None:
    async def answer(request: Message, forward: Forward) -> bytes | None:
        response = await forward(request)
        if b"ReceiptHandle" not in response.body:
            return response.to_bytes()
        for consumer in run.system.consumers:
            consumer.signal(signal.SIGKILL)
        return None

    run.system.sink_broker.set_fault(answer, "ReceiveMessage")
    await run.consumer_hits(1, "ReceiveMessage")
    await run.lasts(0.5)
    run.system.sink_broker.clear()
    await run.more_effects(3, timeout=80.0)


@fault(36, "consumer killed after an outside effect, before commit", "P4", "consumers", drain_seconds=SLOW)
async def killed_before_commit(run: Run) -> None:
    await killed_at(run, "consumer.before_commit")


@fault(37, "consumer killed after commit, before the delete", "P4", "consumers", drain_seconds=SLOW)
async def killed_after_commit(run: Run) -> None:
    await killed_at(run, "consumer.after_commit")


@fault(
    38,
    "visibility ends while the handler runs",
    "P4",
    "handlers",
    "sink_broker",
    reported=False,
    stale=True,
    drain_seconds=SLOW,
)
async def visibility_ends(run: Run) -> None:
    early: list[str] = []
    # LocalStack may deliver a later message of a group before one whose time ended. Therefore late effects are allowed,
    # and nothing is received while the time of several messages ends.
    one_at_a_time = asyncio.Lock()

    async def answer(request: Message, forward: Forward) -> bytes | None:
        async with one_at_a_time:
            response = await forward(request)
            messages = json.loads(response.body or b"{}").get("Messages") or []
            async with sqs(run.system.aws) as queues:
                url = json.loads(request.body)["QueueUrl"]
                for message in messages:
                    with contextlib.suppress(queues.exceptions.ClientError):  # it was deleted meanwhile
                        await queues.change_message_visibility(
                            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                        )
                        early.append(message["MessageId"])
        return response.to_bytes()

    run.system.control(json.dumps({"seconds": 1.0}))
    run.system.sink_broker.set_fault(answer, "ReceiveMessage")
    await run.more_effects(6, timeout=80.0)

    async def twice() -> bool:
        return len(early) > len(set(early))

    await run.until(twice)  # handed out again, while a handler had it
    run.system.sink_broker.clear()


@fault(39, "partial DeleteMessageBatch, and deletes that fail", "P4 P5", "sink_broker", drain_seconds=SLOW)
async def deletes_fail(run: Run) -> None:
    run.system.sink_broker.set_fault(faults.partial_delete, "DeleteMessageBatch")
    await run.consumer_hits(6, "DeleteMessageBatch")
    run.system.sink_broker.set_fault(
        faults.rejecting("400 Bad Request", "ReceiptHandleIsInvalid"), "DeleteMessageBatch"
    )  # fmt: skip
    await run.consumer_hits(3, "DeleteMessageBatch")
    run.system.sink_broker.clear()


@fault(40, "response of ReceiveMessage lost", "P5", "sink_broker", drain_seconds=SLOW)
async def receive_lost(run: Run) -> None:
    run.system.sink_broker.set_fault(faults.reset_after, "ReceiveMessage")
    await run.consumer_hits(2, "ReceiveMessage")
    run.system.sink_broker.clear()


@fault(
    41,
    "a handler always fails",
    "P3 P5",
    "handlers",
    unresolved=True,
    stale=True,
    progress=True,
    drain_seconds=SLOW,
)
async def handler_fails(run: Run) -> None:
    run.system.control(json.dumps({"fail": "order.confirmed"}))

    async def dead() -> bool:
        return any("dead" in row["where"] for row in await unresolved_rows(run.system, run.prefix))

    await run.until(dead, timeout=60.0)


@fault(
    42,
    "redrive of dead letters while new events arrive",
    "P3 P4",
    "handlers",
    stale=True,
    progress=True,
    drain_seconds=SLOW,
)
async def redrive(run: Run) -> None:
    await handler_fails(run)
    run.system.control("{}")
    engine = create_engine(run.system.sink.url, application_name="operator")
    try:
        letters = DeadLetters(async_sessionmaker(engine, expire_on_commit=False), "sink")

        async def none_left() -> bool:
            await letters.redrive(Selection(reason="failed"), By("operator", "the handler is repaired"), per_second=20)
            return not await unresolved_rows(run.system, run.prefix)

        await run.until(none_left, timeout=60.0)
    finally:
        await engine.dispose()


@fault(49, "events of an unknown type and of a newer version", "P2 P7", "foreign", unresolved=True, progress=True)
async def unknown_type(run: Run) -> None:
    await _send(run, _envelope(run, "order.archived", 1), _envelope(run, "order.placed", 9))


@fault(50, "an event that is older than the inbox remembers", "P4", "foreign", unresolved=True, progress=True)
async def forgotten(run: Run) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=60)).isoformat().replace("+00:00", "Z")
    await _send(run, {**_envelope(run, "order.cancelled", 1), "time": long_ago})


@fault(51, "foreign and tampered messages in each queue", "P1", "foreign", "check", unresolved=True, progress=True)
async def foreign(run: Run) -> None:
    good = _envelope(run, "order.placed", 1)
    wrong = ["garbage", "{}", "[1]", {**good, "sequence": "x"}, {**good, "id": "not-a-uuid"}]
    for queue in (SINK, f"{SINK}-dlq", f"{SINK}-undelivered"):
        await _send(run, *wrong, queue=queue)
    # On the publish check an event that nobody recorded confirms nothing, and the rest is counted and deleted.
    await _put(run, "order-events-publish-check", [*wrong, good])

    async def counted() -> bool:
        return any("outbox_publish_check_foreign_total" in where for where in run.evidence.seen)

    await run.until(counted)


async def _send(run: Run, *bodies: object, queue: str = SINK) -> None:
    """Put messages straight into a queue of the consumers, and wait until each is a dead letter."""
    (row,) = await fetch(run.system.sink.url, DEAD)
    wanted = row[0] + len(bodies)
    await _put(run, queue, bodies)

    async def all_dead() -> bool:
        (row,) = await fetch(run.system.sink.url, DEAD)
        return bool(row[0] >= wanted)

    await run.until(all_dead)
    run.report("dead letters")


async def _put(run: Run, queue: str, bodies: Iterable[object]) -> None:
    async with sqs(run.system.aws) as queues:
        url = (await queues.get_queue_url(QueueName=f"{run.system.names.prefix}{queue}.fifo"))["QueueUrl"]
        for body in bodies:
            await queues.send_message(
                QueueUrl=url,
                MessageBody=body if isinstance(body, str) else json.dumps(body),
                MessageGroupId=str(uuid4()),
                MessageDeduplicationId=str(uuid4()),
            )


def _envelope(run: Run, kind: str, version: int) -> dict[str, object]:
    subject = str(uuid4())
    return {
        "specversion": "1.0", "id": str(uuid4()), "source": "/services/order", "type": kind, "subject": subject,
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "dataschema": f"https://example.com/{kind}/{version}",
        "datacontenttype": "application/json", "partitionkey": subject, "sequence": f"{1:020}",
        "correlationid": f"{run.prefix}foreign",
        "data": {"order_id": subject, "customer_id": "c", "reason": "r"},
    }  # fmt: skip
