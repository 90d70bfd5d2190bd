"""Faults of the broker itself, and of its topology."""

import asyncio
import json
from functools import partial
from uuid import uuid4

import httpx

from event_trio.broker.aws import sns, sqs
from infra.drift import differences
from tests.faults.catalogue.network import CALLS, strike
from tests.faults.proxies import broker_faults as faults
from tests.faults.proxies.broker import Forward, entries_of
from tests.faults.proxies.http import Message
from tests.faults.recording import Recorder
from tests.faults.registry import fault
from tests.faults.run import Run
from tests.faults.system import SINK
from tests.faults.workload import ORDER
from tests.support.databases import fetch
from tests.support.waiting import eventually


@fault(9, "throttling, 500 and 503, in bursts", "P5", "relay_broker")
async def bursts(run: Run) -> None:
    kinds = [("500 Internal Server Error", "InternalFailure"), ("503 Service Unavailable", "ServiceUnavailable"),
             ("400 Bad Request", "Throttling")]  # fmt: skip
    for status, code in run.dice.sample(kinds, len(kinds)):
        await strike(run, faults.rejecting(status, code), *CALLS, count=6, share=0.8)
        await run.more_effects(2)


@fault(10, "partial failure inside a batch, inside a group", "P3", "relay_broker")
async def partial_failure(run: Run) -> None:
    await strike(run, faults.partial(run.dice), "PublishBatch", count=12, share=0.7)


@fault(31, "an event that the broker will never accept", "P5", "relay_broker", "alone", unresolved=True, progress=True)
async def never_accepted(run: Run) -> None:
    victims: set[str] = set()

    async def answer(request: Message, forward: Forward) -> bytes | None:
        entries = [(id, json.loads(message)) for id, message in entries_of(request)]
        if not victims:
            victims.update(envelope["id"] for _, envelope in entries[:1])
        bad = {id for id, envelope in entries if envelope["id"] in victims}
        if not bad:
            return (await forward(request)).to_bytes()
        return await faults.rejecting_entries(bad, "InvalidParameter", sender=True)(request, forward)

    run.system.relay_broker.set_fault(answer, "PublishBatch")
    await run.more_effects(10)
    await _until_held(run)
    run.report("held groups of the operations API")
    run.system.relay_broker.clear()
    await _release_all(run)


@fault(32, "an oversized event; a batch over the size limit", "P5", reported=False, progress=True)
async def oversized(run: Run) -> None:
    history = Recorder(run.folder / "client-large.jsonl")
    async with httpx.AsyncClient(base_url=run.system.order.url, timeout=10.0) as api:
        for size in (600, 1000, 5000):
            key = f"{run.prefix}large{size}"
            lines = [{"sku": f"{n:040}", "quantity": 1, "unit_price": "1.00"} for n in range(size)]
            history.write("invoke", key=key)
            answer = await eventually(partial(_place, api, {**ORDER, "lines": lines}, key), timeout=60.0)
            if answer.status_code == 201:
                history.write("ok", key=key, group=answer.json()["id"], sequence=1)
            else:
                history.write("fail", key=key)
    history.close()
    await run.more_effects(5)


async def _place(api: httpx.AsyncClient, body: object, key: str) -> httpx.Response:
    """The final answer; raises AssertionError while another fault hinders it."""
    try:
        answer = await api.post("/v1/orders", json=body, headers={"Idempotency-Key": key, "X-Correlation-ID": key})
    except httpx.HTTPError as error:
        raise AssertionError(repr(error)) from None
    assert answer.status_code in (201, 413, 422), answer.text
    return answer


@fault(33, "the same events again, after they were published", "P4", "alone", reported=False, progress=True)
async def replayed(run: Run) -> None:
    await replay(run)
    await run.more_effects(10)


@fault(34, "messages of the publish check lost", "P6", "check", "alone", reported=False, progress=True, confirmed=False)
async def check_lost(run: Run) -> None:
    await asyncio.gather(*(relay.stop() for relay in run.system.relays[1:]))
    run.system.relay_broker.set_fault(faults.reset_before, "ReceiveMessage")
    await run.more_effects(10)
    async with sqs(run.system.aws) as queues:
        name = f"{run.system.names.prefix}order-events-publish-check.fifo"
        url = (await queues.get_queue_url(QueueName=name))["QueueUrl"]
        await queues.purge_queue(QueueUrl=url)
    run.system.relay_broker.clear()
    await asyncio.gather(*(relay.start() for relay in run.system.relays[1:]))
    await run.more_effects(5)


@fault(43, "broker restarted with nothing in it", "P2 P7", "alone", drain_seconds=90.0, stale=True)
async def broker_restarted(run: Run) -> None:
    await run.system.servers.localstack.stop()
    await run.lasts(1.0)
    await run.system.servers.localstack.start()
    await run.more_effects(5, timeout=80.0)


@fault(44, "filter of a subscription changed", "P2 P7", "alone", stale=True, progress=True)
async def filter_changed(run: Run) -> None:
    async with sns(run.system.aws) as topics:
        arn = await _subscription(run, topics)
        await topics.set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="FilterPolicy",
            AttributeValue=json.dumps({"type": [{"anything-but": ["order.released"]}]}),
        )  # fmt: skip
        await run.more_effects(10)
        system = run.system
        for found in await differences(system.aws, prefix=system.names.prefix, templates=system.servers.templates):
            run.report(f"comparison with the templates: {found}")
        await topics.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
    # A replay takes what was recorded as sent before it. What is in a call at this moment may have met the filter.
    waiting = [row["id"] for row in await fetch(system.orders.url, "SELECT id FROM outbox_event WHERE sent_at IS NULL")]
    unsent = "SELECT 1 FROM outbox_event WHERE sent_at IS NULL AND id = ANY($1) LIMIT 1"

    async def recorded() -> bool:
        return not await fetch(system.orders.url, unsent, waiting)

    await run.until(recorded, timeout=30.0)
    await replay(run)


@fault(45, "credentials expire and rotate", "P5", "relay_broker", "sink_broker")
async def credentials(run: Run) -> None:
    expired = faults.rejecting("403 Forbidden", "ExpiredToken")
    run.system.sink_broker.set_fault(expired, "ReceiveMessage", "DeleteMessageBatch")
    await strike(run, expired, *CALLS, count=6, share=1.0)
    await run.consumer_hits(2, "ReceiveMessage", "DeleteMessageBatch")
    await run.lasts(1.5)
    run.system.sink_broker.clear()  # another fault at the same time may wait for effects


async def replay(run: Run) -> None:
    """Send all events again, as an operator does."""
    async with run.system.relays[0].api() as api:
        answer = await api.post(
            "/v1/outbox/replays",
            json={"everything": True, "dry_run": False, "reason": "the fault suite"},
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.is_success, answer.text


async def _until_held(run: Run) -> None:
    async def held() -> bool:
        return bool(await _held(run))

    await run.until(held, timeout=60.0)


async def _held(run: Run) -> list[str]:
    async with run.system.relays[0].api() as api:
        answer = await api.get("/v1/outbox/held-groups")
    return [item["subject"] for item in answer.json()["items"]] if answer.is_success else []


async def _release_all(run: Run) -> None:
    async with run.system.relays[0].api() as api:
        for subject in await _held(run):
            answer = await api.post(
                f"/v1/outbox/groups/{subject}/release",
                json={"reason": "the broker accepts it now"},
                headers={"Idempotency-Key": str(uuid4())},
            )
            assert answer.is_success, answer.text


async def _subscription(run: Run, topics: object) -> str:
    arn = f"arn:aws:sns:us-east-1:000000000000:{run.system.names.prefix}order-events.fifo"
    found = (await topics.list_subscriptions_by_topic(TopicArn=arn))["Subscriptions"]  # type: ignore[attr-defined]
    return next(str(each["SubscriptionArn"]) for each in found if SINK in each["Endpoint"])
