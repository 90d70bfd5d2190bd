"""Access to the notification service: every route, every role, and other customers."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.notification.main import build
from services.notification.settings import NotificationSettings
from tests.support.access import INSPECTORS, READERS, authenticated, callers, guarded, own
from tests.support.databases import TestDatabase, execute
from tests.support.operators import NO_BROKER
from tests.support.web import client

ORDER = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"
NOTIFICATION = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e11"

MATRIX: list[tuple[str, str, dict[str, str] | None, dict[str, int]]] = [
    ("GET", "/v1/notifications", None, {**READERS, "other": 200}),
    ("GET", "/v1/notifications/{notification_id}", None, READERS),
    ("GET", "/v1/processed-messages", None, INSPECTORS),
    ("GET", "/v1/recorded-events", None, INSPECTORS),
    ("GET", "/v1/inbox", None, INSPECTORS),
    ("GET", "/v1/topology", None, INSPECTORS),
    ("GET", "/v1/process", None, {**INSPECTORS, "service": 403}),
    ("GET", "/v1/dead-letters", None, INSPECTORS),
    ("GET", "/v1/deferred-messages", None, INSPECTORS),
]


def settings(database: TestDatabase, **given: Any) -> NotificationSettings:
    """The service without a broker: its REST API does not depend on it."""
    return NotificationSettings(
        database_url=SecretStr(database.url_for("notification_api")),
        aws_endpoint_url=NO_BROKER.endpoint_url,
        topology_prefix="none-",
        queue_wait_seconds=1,
        drain_seconds=2,
        **given,
    )


@pytest.fixture
async def notified(notifications_database: TestDatabase) -> TestDatabase:
    """A notification about an order of customer-1."""
    await execute(
        notifications_database.url,
        f"""
        INSERT INTO order_recipient (order_id, customer_id, recipient, locale, last_sequence)
        VALUES ('{ORDER}', 'customer-1', 'ada@example.com', 'en', 1)
        """,
        f"""
        INSERT INTO notification (id, order_id, event_id, event_type, channel, recipient, locale, subject, body, status,
                                  created_at, sent_at)
        VALUES ('{NOTIFICATION}', '{ORDER}', gen_random_uuid(), 'order.placed', 'log', 'ada@example.com', 'en',
                's', 'b', 'sent', now(), now())
        """,
    )
    return notifications_database


async def test_every_route_for_every_caller(notified: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    async with client(build(settings(notified, **auth))) as api:
        for method, path, body, expected in MATRIX:
            for caller, headers in callers(issuer).items():
                address = path.format(notification_id=NOTIFICATION)
                answer = await api.request(method, address, json=body, headers=headers)
                assert answer.status_code == expected[caller], (caller, method, path, answer.text)


async def test_customers_list_only_their_own_notifications(notified: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    who = callers(issuer)
    async with client(build(settings(notified, **auth))) as api:

        async def seen(caller: str, **params: str) -> list[str]:
            answer: httpx.Response = await api.get("/v1/notifications", params=params, headers=who[caller])
            return [item["id"] for item in answer.json()["items"]]

        assert await seen("owner") == [NOTIFICATION]
        assert await seen("other") == []
        assert await seen("other", order_id=ORDER) == []


def test_the_matrix_has_every_route(notifications_database: TestDatabase) -> None:
    tested = {(method, path) for method, path, _, _ in MATRIX}
    assert own(guarded(build(settings(notifications_database)))) == own(tested)
