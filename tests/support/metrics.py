"""The applications of all services, built but not started, whose /metrics can be read."""

from functools import cache

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from services.notification import main as notification
from services.notification.settings import NotificationSettings
from services.order import main as order
from services.order.settings import OrderSettings
from services.relay import main as relay
from services.relay.settings import RelaySettings

URL = SecretStr("postgresql://nobody@127.0.0.1/nothing")


@cache
def applications() -> dict[str, FastAPI]:
    """The applications by name."""
    return {
        "order": order.build(OrderSettings(database_url=URL)),
        "notification": notification.build(NotificationSettings(database_url=URL)),
        "relay": relay.build(RelaySettings(database_url=URL, topic="order-events")),
    }


async def scrape(app: FastAPI, **headers: str) -> httpx.Response:
    """The answer of /metrics."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get("/metrics", headers=headers)
