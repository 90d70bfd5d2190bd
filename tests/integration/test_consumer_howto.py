"""The handler of docs/how-to/write-a-consumer.md, run as it stands there."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from event_trio.broker.aws import Aws
from event_trio.consumer.router import Router
from event_trio.contracts.orders import OrderPlaced
from tests.support.consuming import consumer_with, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "how-to" / "write-a-consumer.md"


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


def the_pages_routes(name: str) -> Router:
    """What the page's third step makes, under that name."""
    (step,) = re.findall(r"## 3\..*?(?=\n## )", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "howto"}
    for code in re.findall(r"```python\n(.*?)```", step, re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    routes = names[name]
    assert isinstance(routes, Router)
    return routes


def placed(price: str) -> OrderPlaced:
    line = {"sku": "TEA-1", "quantity": 1, "unit_price": price}
    return OrderPlaced.model_validate(
        {
            "order_id": str(uuid4()), "customer_id": "c-1", "recipient": "ada@example.com", "locale": "en",
            "currency": "EUR", "lines": [line], "total": price,
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", ["routes", "quick"])
async def test_the_pages_handler_keeps_a_receipt_once_and_rejects_what_it_says_it_rejects(
    name: str, notifications_database: TestDatabase, queue: FifoQueue
) -> None:
    await execute(
        notifications_database.url,
        "CREATE TABLE receipt (order_id text, receipt text)",
        "GRANT INSERT ON receipt TO notification_api",
    )
    good, free = envelope_of(placed("12.50"), subject="good"), envelope_of(placed("0.00"), subject="free")
    async with consumer_with(notifications_database, queue.reader(), the_pages_routes(name)) as tested:
        await queue.send(good)
        await queue.send(free)
        await tested.completed(good.id, "handled")
        await tested.completed(free.id, "dead_letter")
        await queue.send(good, again=1)
        await tested.completed(good.id, "duplicate")
    assert await rows(notifications_database, "SELECT receipt FROM receipt") == [(f"receipt of {good.id}",)]
    assert await rows(notifications_database, "SELECT error FROM deferred_message WHERE status = 'dead'") == [
        ("there is nothing to charge",)
    ]
