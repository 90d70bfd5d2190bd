"""Access of customers to the notifications of others; the matrix of access has the rest."""

from pathlib import Path

import httpx

from services.notification.main import build
from tests.support.access import authenticated, callers
from tests.support.databases import TestDatabase, execute
from tests.support.notifications import NOTIFICATION, ORDER_ID, notification_settings, notified
from tests.support.web import client


async def test_customers_list_only_their_own_notifications(
    notifications_database: TestDatabase, tmp_path: Path
) -> None:
    await execute(notifications_database.url, *notified())
    issuer, auth = authenticated(tmp_path)
    who = callers(issuer)
    async with client(build(notification_settings(notifications_database, **auth))) as api:

        async def seen(caller: str, **params: str) -> list[str]:
            answer: httpx.Response = await api.get("/v1/notifications", params=params, headers=who[caller])
            return [item["id"] for item in answer.json()["items"]]

        assert await seen("owner") == [NOTIFICATION]
        assert await seen("other") == []
        assert await seen("other", order_id=ORDER_ID) == []
