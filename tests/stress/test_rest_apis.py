"""Schemathesis sends valid and invalid requests to every service, generated from its OpenAPI document."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from services.notification.main import build as build_notification
from services.notification.settings import NotificationSettings
from services.order.main import build as build_order
from tests.support.databases import OUTBOX_WRITER, TestDatabase, execute
from tests.support.operators import NO_BROKER, refuse, relay_app
from tests.support.order_service import place, settings
from tests.support.outbox import fill, record
from tests.support.sources import ROOT
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tools.embedded.ports import LOOPBACK

# Seconds for each service; all three take less than a minute and a half.
PHASES = {"examples,coverage,fuzzing": 12, "stateful": 8}
# Notifications of three orders, and a dead letter.
SOME_NOTIFICATIONS = (
    """
    INSERT INTO order_recipient (order_id, customer_id, recipient, locale, last_sequence)
    SELECT gen_random_uuid(), 'customer-1', 'ada@example.com', 'en', 1 FROM generate_series(1, 3)
    """,
    """
    INSERT INTO notification (id, order_id, event_id, event_type, channel, recipient, locale, subject, body, status,
                              created_at, sent_at)
    SELECT gen_random_uuid(), order_id, gen_random_uuid(), 'order.placed', 'log', recipient, 'en', 's', 'b', 'sent',
           now(), now()
    FROM order_recipient
    """,
    """
    INSERT INTO processed_message (consumer, event_id, message_id, source, subject, sequence, type, time, outcome)
    SELECT 'notification', event_id::text, gen_random_uuid()::text, '/services/order', order_id::text, 1,
           'order.placed', now(), 'handled'
    FROM notification
    """,
    """
    INSERT INTO deferred_message (consumer, event_id, message_id, message_group, source, subject, sequence, type,
                                  status, reason, error, envelope)
    SELECT consumer, event_id, message_id, subject, source, subject, sequence, type, 'dead', 'failed', 'no', ''
    FROM processed_message LIMIT 1
    """,
)
CONFIGURATION = ROOT / "tests" / "support" / "schemathesis.toml"


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The address of the application, which runs in this process."""
    listener = socket.create_server((LOOPBACK, 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    async with app.router.lifespan_context(app):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            listener.close()


async def run(address: str, token: str, folder: Path) -> None:
    """Run Schemathesis: single operations first, then sequences that follow the links of responses."""
    for phases, seconds in PHASES.items():
        status, said = await call(address, token, folder, phases, seconds)
        assert status == 0, said
        if phases == "stateful":
            assert "No tests were run" not in said, said


async def call(address: str, token: str, folder: Path, phases: str, seconds: int) -> tuple[int, str]:
    """One run; returns its status and its output."""
    options = ("--phases", phases, "--max-time", str(seconds), "--checks", "all")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
        *("run", f"{address}/openapi.json", *options, "--header", f"Authorization: Bearer {token}"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def auth(issuer: Issuer, tmp_path: Path) -> dict[str, Any]:
    return {"auth_jwks": issuer.write_key_set(tmp_path), "auth_issuer": ISSUER, "auth_audience": AUDIENCE}


async def test_the_order_service(
    orders_database: TestDatabase, issuer: Issuer, auth: dict[str, Any], tmp_path: Path
) -> None:
    app = build_order(settings(orders_database, notification_url="http://127.0.0.1:8001", **auth))
    async with served(app) as address:
        token = issuer.token("olga", "operator")
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}) as api:
            await place(api)
        await run(address, token, tmp_path)


async def test_the_relay(outbox_database: TestDatabase, issuer: Issuer, auth: dict[str, Any], tmp_path: Path) -> None:
    await fill(outbox_database.url, 3, each=2)
    (first,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("held", 1)])
    await refuse(outbox_database, first.id)
    async with served(relay_app(outbox_database, **auth)) as address:
        await run(address, issuer.token("olga", "operator"), tmp_path)


async def test_the_notification_service(
    notifications_database: TestDatabase, issuer: Issuer, auth: dict[str, Any], tmp_path: Path
) -> None:
    await execute(notifications_database.url, *SOME_NOTIFICATIONS)
    chosen: dict[str, Any] = {
        "database_url": SecretStr(notifications_database.url_for("notification_api")),
        "aws_endpoint_url": NO_BROKER.endpoint_url,
        "topology_prefix": "none-",
        "queue_wait_seconds": 1,
        "drain_seconds": 2,
    }
    async with served(build_notification(NotificationSettings(**chosen, **auth))) as address:
        await run(address, issuer.token("olga", "operator"), tmp_path)
