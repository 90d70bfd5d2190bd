"""A relay for operators, on a test's own outbox, without a broker, called over ASGI."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.relay.main import build
from tests.support import relays
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import query
from tests.support.web import client

# Nothing listens there: operations must not depend on the broker.
NO_BROKER = Aws("us-east-1", "http://127.0.0.1:9")


def relay_app(database: TestDatabase, **given: Any) -> FastAPI:
    """Build the relay's application, without authentication by default."""
    return build(relays.settings(database.url_for(OUTBOX_RELAY), NO_BROKER, BrokerNames("none-"), **given))


@asynccontextmanager
async def relay_service(
    database: TestDatabase, headers: Mapping[str, str] | None = None, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the running relay."""
    async with client(relay_app(database, **given), headers) as found:
        yield found


async def refuse(database: TestDatabase, event_id: UUID, *, seconds_ago: float = 3600) -> None:
    """Mark an event as permanently rejected, as the relay does."""
    await query(
        database.url,
        "UPDATE outbox_event SET attempts = 1, last_error = 'InvalidParameter: no',"
        " held_reason = 'InvalidParameter: no', held_behind = NULL,"
        " held_at = clock_timestamp() - $2 * interval '1 second' WHERE event_id = $1 RETURNING 1",
        event_id,
        seconds_ago,
    )


async def publish_all(database: TestDatabase) -> None:
    """Mark all events as sent and confirmed."""
    await query(
        database.url,
        "UPDATE outbox_event SET sent_at = statement_timestamp(), published_at = statement_timestamp(),"
        # As the relay does: what is published is not held, whether or not its release came first.
        " held_at = NULL, held_reason = NULL, held_behind = NULL, broker_message_id = 'm-1' RETURNING 1",
    )
