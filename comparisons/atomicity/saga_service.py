"""A service of a saga: it handles an event in one transaction with its inbox row, its effect and its own event."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import asyncpg

from comparisons.atomicity.saga_events import EVENTS, PurchaseEvent
from comparisons.atomicity.world import World
from event_trio.broker.queue import Message
from event_trio.consumer.decoders import cloud_events, decode
from event_trio.consumer.delivery import QueueDelivery
from event_trio.envelope import Envelope
from event_trio.inbox import install_tables as install_inbox
from event_trio.inbox.claim_at_once import claim_at_once
from event_trio.inbox.states import InboxOutcome
from event_trio.outbox import OutboxWriter
from event_trio.outbox import install_tables as install_outbox

AsyncpgConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Handler = Callable[[AsyncpgConnection, PurchaseEvent], Awaitable[PurchaseEvent | None]]
"""Writes the effect of an event in the transaction, and returns the event that it causes, if any."""

NEXT = "SELECT coalesce(max(sequence), 0) + 1 FROM outbox_event WHERE source = $1 AND subject = $2"
RECORD = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes) VALUES ($1, $2, $3, $4, $5, $6)
"""
UNSENT = """
SELECT id, attributes ->> 'type' AS type, envelope FROM outbox_event WHERE sent_at IS NULL ORDER BY id LIMIT 100
"""
SENT = "UPDATE outbox_event SET sent_at = clock_timestamp() WHERE id = $1"


class SagaService:
    """A service with an outbox and an inbox: the tables, the writer and the claim are those of the library."""

    def __init__(self, name: str, world: World, handlers: Mapping[str, Handler]) -> None:
        self.name = name
        self.world = world
        self.pool = world.pools[name]
        self.handlers = handlers
        self._source = f"/services/{name}"
        self._writer = OutboxWriter(self._source)

    async def install(self) -> None:
        """Create the tables of outbox and inbox, unless they exist."""
        async with self.pool.acquire() as connection:
            await install_outbox(connection)
            await install_inbox(connection)

    async def emit(self, connection: AsyncpgConnection, event: PurchaseEvent) -> None:
        """Record an event in the caller's transaction."""
        sequence = await connection.fetchval(NEXT, self._source, event.purchase)
        row = self._writer.prepare(event, subject=event.purchase, sequence=sequence, correlation_id=event.purchase)
        columns = row.columns() | {"attributes": json.dumps(row.attributes)}
        await connection.execute(RECORD, *columns.values())

    async def handle(self, envelope: bytes) -> None:
        """Handle an event once, however often it is delivered."""
        event = Envelope.parse(envelope)
        payload = EVENTS[event.type].model_validate(event.data)
        async with self.pool.acquire() as connection, connection.transaction():
            if await self.claim(connection, event):
                await self.react(connection, payload)
        self.world.lock_ends(self.name, payload.purchase)
        self.handled(event.type, event.subject)

    def handled(self, type: str, purchase: str) -> None:
        """Called when an event of this type was handled, and the transaction is committed."""

    async def react(self, connection: AsyncpgConnection, event: PurchaseEvent) -> None:
        """Write the effect of an event that is claimed, and the event that it causes."""
        if caused := await self.handlers[event.type](connection, event):
            await self.emit(connection, caused)

    async def claim(self, connection: AsyncpgConnection, event: Envelope) -> bool:
        """Insert the inbox row: whether the event is new."""
        body = event.to_bytes().decode()
        message = Message(str(event.id), "", body, event.partitionkey, str(event.id), event.sequence, 1, event.time)
        delivery = QueueDelivery.of(message, self.name)
        delivery.accept(decode(cloud_events, delivery))
        outcome = await claim_at_once(connection, delivery, new=InboxOutcome.HANDLED, stale=InboxOutcome.HANDLED_STALE)
        return outcome is not None

    async def unsent(self) -> list[tuple[int, str, bytes]]:
        """The oldest events that were not sent: number, type, envelope."""
        return [(row["id"], row["type"], row["envelope"]) for row in await self.pool.fetch(UNSENT)]

    async def mark_sent(self, number: int) -> None:
        """Record that every subscriber has the event."""
        await self.pool.execute(SENT, number)
