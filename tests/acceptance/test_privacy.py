"""What customers write appears in no log, metric, trace, problem or readiness page, whatever fails on the way."""

import json
from typing import Any

import httpx

from event_trio.broker.aws import sqs
from tests.support.databases import execute
from tests.support.mail import mail_server
from tests.support.observed_system import ObservedSystem, observed_system
from tests.support.order_service import ORDER
from tests.support.otlp import otlp_receiver
from tests.support.trio import SystemEnvironment
from tests.support.waiting import eventually

CANARY = "canary-xylophone"
ADDRESS = f"{CANARY}@example.com"
# Not only whole: a text that is cut or quoted has parts of it.
PART = "xylophone"


async def test_a_canary_shows_nowhere(ground: SystemEnvironment) -> None:
    with mail_server() as server, otlp_receiver() as receiver:
        async with observed_system(ground, server, receiver, LOG_LEVEL="debug") as running:
            answers = await _send_to_the_api(running.services.order)
            await _fail_in_the_order_database(ground, running.services.order, answers)
            await _send_to_the_queue(ground)
            await _fail_in_the_notification_database(ground, running)
            await _dead_letters(running, 4)
            server.to_recipients = [f"451 {CANARY}", f"550 {CANARY}"]
            refused = await running.services.place(recipient=ADDRESS)
            await running.services.wait_until_handled(refused, 1)
            redrive = {"all": True, "reason": "test"}
            answers.append(await running.services.notification.post("/v1/dead-letters/redrive", json=redrive))
            await _dead_letters(running, 4)
            pages = await _pages(running)
            assert server.to_recipients == []
        logs = running.logs
    assert all(answer.status_code >= 400 for answer in answers[:-1]), [answer.status_code for answer in answers]
    for number, answer in enumerate(answers):
        assert PART not in answer.text, f"answer {number}: {answer.text}"
    for name, page in pages.items():
        assert PART not in page, name
    for name, log in logs.items():
        assert [line for line in log.splitlines() if PART in line] == [], name
    assert "send email" in receiver.text
    assert PART not in receiver.text
    _expect_the_failures_were_logged(logs)


async def _send_to_the_api(order: httpx.AsyncClient) -> list[httpx.Response]:
    """Wrong requests of every kind."""
    line = {"sku": CANARY, "quantity": CANARY, "unit_price": CANARY}
    bodies: list[dict[str, Any]] = [
        {**ORDER, "recipient": {CANARY: CANARY}},
        {**ORDER, "recipient": CANARY},
        {**ORDER, "lines": [line], "locale": CANARY, "currency": CANARY},
        {**ORDER, "recipient": f"{ADDRESS}\r\nBcc: {ADDRESS}"},
    ]
    return [
        *[await order.post("/v1/orders", json=body) for body in bodies],
        await order.post(
            "/v1/orders", content=f'{{"recipient": "{CANARY}', headers={"Content-Type": "application/json"}
        ),
        await order.post("/v1/orders", content=f"recipient={CANARY}", headers={"Content-Type": f"text/{CANARY}"}),
        await order.get(f"/v1/orders/{CANARY}"),
        await order.get(f"/{CANARY}", params={CANARY: CANARY}),
        await order.get("/v1/orders", params={"state": CANARY, "cursor": CANARY}),
        await order.get("/v1/orders", params={"limit": CANARY}, headers={"traceparent": CANARY, CANARY: CANARY}),
        await order.post("/v1/orders", json=ORDER | {"recipient": CANARY}, headers={"Idempotency-Key": f'"{CANARY}"'}),
    ]


async def _fail_in_the_order_database(
    ground: SystemEnvironment, order: httpx.AsyncClient, answers: list[httpx.Response]
) -> None:
    """An unexpected error, whose text quotes the row."""
    await execute(ground.orders.url, "ALTER TABLE orders ADD CONSTRAINT nobody CHECK (locale <> 'ko')")
    answer = await order.post("/v1/orders", json={**ORDER, "recipient": ADDRESS, "locale": "ko"})
    assert answer.status_code == 500
    answers.append(answer)


async def _send_to_the_queue(ground: SystemEnvironment) -> None:
    """Messages that are no events, and one whose payload is wrong."""
    wrong = {
        "specversion": "1.0",
        "id": "01890000-0000-7000-8000-000000000001",
        "source": "/services/order",
        "type": "order.placed",
        "subject": "subject-1",
        "time": "2026-01-01T00:00:00Z",
        "dataschema": "https://schemas.example.com/order.placed/1",
        "datacontenttype": "application/json",
        "partitionkey": "subject-1",
        "sequence": "0" * 19 + "1",
        "correlationid": "correlation-1",
        "data": {"recipient": CANARY, CANARY: CANARY},
    }
    bodies = [CANARY, json.dumps({"id": CANARY, "type": CANARY, "data": {CANARY: CANARY}}), json.dumps(wrong)]
    async with sqs(ground.aws) as client:
        name = ground.topology.queue("notification", "order-events")
        url = (await client.get_queue_url(QueueName=name))["QueueUrl"]
        for number, body in enumerate(bodies):
            await client.send_message(
                QueueUrl=url, MessageBody=body, MessageGroupId=f"g{number}", MessageDeduplicationId=f"d{number}"
            )


async def _fail_in_the_notification_database(ground: SystemEnvironment, running: ObservedSystem) -> None:
    """A failing constraint, whose error quotes the row, also where the failure is to be recorded."""
    await execute(
        ground.notifications.url,
        "ALTER TABLE order_recipient ADD CONSTRAINT nobody CHECK (customer_id <> 'constraint')",
    )
    await running.services.place(recipient=ADDRESS, customer_id="constraint")


async def _dead_letters(running: ObservedSystem, count: int) -> None:
    """Wait until so many messages are dead."""

    async def are_there() -> bool:
        answer = await running.services.notification.get("/v1/dead-letters", params={"limit": 100})
        found = [(item["type"], item["reason"]) for item in answer.json()["items"]]
        assert len(found) == count, found
        return True

    await eventually(are_there, timeout=60)


async def _pages(running: ObservedSystem) -> dict[str, str]:
    """The metrics and the readiness of each process."""
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    return {
        f"{name}{path}": (await process.api.get(path, headers=openmetrics)).text
        for name, process in running.processes.items()
        for path in ("/metrics", "/readyz")
    }


def _expect_the_failures_were_logged(logs: dict[str, str]) -> None:
    """The test is worth nothing if the paths were not taken."""
    lines = [json.loads(line) for log in logs.values() for line in log.splitlines() if line.startswith("{")]
    actions = {line["action"] for line in lines}
    assert {"http.failed", "consumer.dead_letter", "consumer.retry_scheduled", "notification.failed"} <= actions
    assert {"consumer.failure_not_published", "outbox.recorded"} <= actions
    reasons = {line.get("reason") for line in lines if line["action"] == "consumer.dead_letter"}
    assert {"unreadable", "invalid_payload", "failed"} <= reasons
    # Every line of an event has its ids, and every line of a request those of the request.
    for line in lines:
        if line["action"].startswith("consumer.") and line.get("type"):
            assert {"event_id", "correlation_id"} <= line.keys(), line
        if line["action"] == "http.request":
            assert {"correlation_id", "trace_id"} <= line.keys(), line
