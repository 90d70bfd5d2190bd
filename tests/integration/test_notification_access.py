"""Access to notifications: callers of the REST API, and roles of the database."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from event_trio.broker.aws import Aws
from tests.support.databases import TestDatabase
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.notification_service import Order, notification_service, queue_name
from tests.support.tokens import AUDIENCE, ISSUER, Issuer


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
async def queue(aws: Aws, prefix: str) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws, queue_name(prefix)) as made:
        yield made


async def test_customers_see_their_own_notifications_and_no_messages(
    notifications_database: TestDatabase, aws: Aws, prefix: str, queue: FifoQueue, tmp_path: Path
) -> None:
    issuer = Issuer()
    mine, yours = Order(customer_id="ada").placed(), Order(customer_id="bob").placed()
    auth: dict[str, Any] = {
        "auth_jwks": issuer.write_key_set(tmp_path),
        "auth_issuer": ISSUER,
        "auth_audience": AUDIENCE,
    }
    async with notification_service(notifications_database, aws, prefix, **auth) as service:
        for event in (mine, yours):
            await queue.send(event)
            await service.completed(event)
        ada, operator = issuer.bearer("ada", "customer"), issuer.bearer("olga", "operator")
        everything = (await service.api.get("/v1/notifications", headers=operator)).json()["items"]
        own = (await service.api.get("/v1/notifications", headers=ada)).json()["items"]
        foreign = next(item for item in everything if item["event_id"] == str(yours.id))
        hidden = await service.api.get(f"/v1/notifications/{foreign['id']}", headers=ada)
        refused = [
            (await service.api.get(path, headers=ada)).status_code
            for path in ("/v1/processed-messages", "/v1/dead-letters")
        ]
        anonymous = await service.api.get("/v1/notifications")
    assert len(everything) == 2
    assert [item["event_id"] for item in own] == [str(mine.id)]
    assert hidden.status_code == 404
    assert refused == [403, 403]
    assert anonymous.status_code == 401


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("notification_api", "UPDATE notification SET body = ''"),
        ("notification_api", "UPDATE processed_message SET event_id = 'x'"),
        ("notification_api", "DELETE FROM operator_action"),
        ("notification_api", "UPDATE operator_action SET reason = 'x'"),
        ("notification_api", "UPDATE order_recipient SET customer_id = 'x'"),
        ("notification_api", "UPDATE outbox_event SET published_at = now()"),
        ("notification_api", "CREATE TABLE mine (id int)"),
        ("notification_relay", "SELECT * FROM notification"),
        ("notification_relay", "SELECT * FROM order_recipient"),
        ("notification_relay", "SELECT * FROM deferred_message"),
        ("notification_relay", "UPDATE outbox_event SET envelope = ''"),
    ],
)
async def test_a_role_has_exactly_the_grants_that_it_needs(
    role: str, statement: str, notifications_database: TestDatabase
) -> None:
    connection = await asyncpg.connect(notifications_database.url_for(role))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ["notification_api", "notification_relay"])
async def test_a_role_has_lock_and_idle_timeouts(role: str, notifications_database: TestDatabase) -> None:
    connection = await asyncpg.connect(notifications_database.url_for(role))
    try:
        for setting in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert await connection.fetchval(f"SHOW {setting}") != "0"
    finally:
        await connection.close()
