"""The relay through a pooler in transaction mode, which keeps no session."""

from pathlib import Path

import httpx
import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.relay.main import build
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill, unpublished
from tests.support.poolers import installed, pooled
from tests.support.relays import running, settings, shared_out
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not installed(), reason="pgbouncer is not installed (Debian: apt install pgbouncer)")


async def test_two_relays_work_through_a_transaction_mode_pooler(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, tmp_path: Path
) -> None:
    direct = outbox_database.url_for(OUTBOX_RELAY)
    async with pooled(direct, tmp_path) as through:
        made = settings(through, aws, topology, listener_database_url=direct)
        async with running(made) as first, running(made) as second:
            await shared_out(first, second)
            await fill(outbox_database.url, 20, each=5)

            async def published() -> bool:
                return await unpublished(outbox_database.url) == 0

            await eventually(published, timeout=30)
            await first.wait("listener.listening")
            assert first.seen("relay.sent")
            assert second.seen("relay.sent")


async def test_a_listener_behind_the_pooler_is_reported_and_polling_continues(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, tmp_path: Path
) -> None:
    async with pooled(outbox_database.url_for(OUTBOX_RELAY), tmp_path) as through:
        app = build(settings(through, aws, topology))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay") as http,
        ):

            async def says_so() -> bool:
                answer = await http.get("/readyz")
                return answer.status_code == 200 and "notifications are not received" in answer.text

            await eventually(says_so, timeout=20)
            await fill(outbox_database.url, 3)

            async def published() -> bool:
                return await unpublished(outbox_database.url) == 0

            await eventually(published, timeout=15)
