"""The order service in this process, with the test's database."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from event_trio.signals import Signals
from services.order.main import build
from services.order.settings import OrderSettings
from tests.support.databases import TestDatabase
from tests.support.web import client

LINE = {"sku": "TEA-1", "quantity": 2, "unit_price": "12.50"}

ORDER: dict[str, Any] = {
    "customer_id": "customer-1",
    "recipient": "ada@example.com",
    "locale": "en",
    "currency": "EUR",
    "lines": [LINE],
}


def settings(database: TestDatabase, **given: object) -> OrderSettings:
    """Settings of a service in this process, by default without authentication."""
    url = SecretStr(database.url_for("order_api"))
    given = {"drain_seconds": 2, "consuming": False, **given}
    return OrderSettings(database_url=url, **given)  # type: ignore[arg-type]


@asynccontextmanager
async def order_service(
    database: TestDatabase, *, signals: Signals | None = None, **given: object
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service."""
    async with client(build(settings(database, **given), signals=signals)) as found:
        yield found


async def place(api: httpx.AsyncClient, headers: Mapping[str, str] | None = None, **changed: object) -> dict[str, Any]:
    """Place an order; returns it as the service shows it."""
    answer = await api.post("/v1/orders", json={**ORDER, **changed}, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
