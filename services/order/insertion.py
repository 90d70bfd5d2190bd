"""Inserts a new order with its lines, history, event and idempotency key: one statement, one round trip."""

from __future__ import annotations

import json

import asyncpg

from event_trio.contracts.orders import OrderEvent
from event_trio.database.connections import Connections
from event_trio.database.faults import connection_lost
from event_trio.idempotency.response_store import ClaimClause
from event_trio.idempotency.transactions import Fetch
from event_trio.outbox.writer import EventRow

from .domain import Order

# Every part inserts from `claimed`, so nothing is inserted if the key is taken. The parameters of that clause follow.
INSERT = """
-- insert order: with its lines, history and event, if the key is not taken
WITH claimed AS ({claim}),
placed AS (
    INSERT INTO orders (id, customer_id, recipient, locale, currency, state, version, placed_at, updated_at)
    SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::integer, $8::timestamptz, $8::timestamptz
    FROM claimed
),
lines AS (
    INSERT INTO order_line (order_id, position, sku, quantity, unit_price)
    SELECT $1::uuid, line.position, line.sku, line.quantity, line.unit_price
    FROM claimed, unnest($9::text[], $10::integer[], $11::numeric[])
        WITH ORDINALITY AS line (sku, quantity, unit_price, position)
),
history AS (
    INSERT INTO order_history (order_id, version, state, event_id, type, data, correlation_id, occurred_at)
    SELECT $1::uuid, $7::integer, $6::text, $12::uuid, $13::text, $14::text::jsonb, $15::text, $8::timestamptz
    FROM claimed
)
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
SELECT $12::uuid, $16::text, $17::text, $7::bigint, $18::bytea, $19::text::jsonb FROM claimed
RETURNING 1
"""
CLAIM_FIRST = 20
"""The number of the first parameter of the claim."""

IS_INSERTED = """
-- is inserted: whether an order with this id was committed
SELECT 1 FROM orders WHERE id = $1
"""


async def insert(fetch: Fetch, order: Order, payload: OrderEvent, row: EventRow, claim: ClaimClause) -> bool:
    """Insert the order, unless the claim returns no row; whether it was inserted. Its history has the whole payload."""
    event = row.event
    inserted = await fetch(
        INSERT.format(claim=claim.query),
        order.id,
        order.customer_id,
        order.recipient,
        order.locale,
        order.currency,
        order.state.value,
        order.version,
        order.placed_at,
        [line.sku for line in order.lines],
        [line.quantity for line in order.lines],
        [line.unit_price for line in order.lines],
        event.id,
        event.type,
        payload.model_dump_json(),
        event.correlationid,
        event.source,
        event.subject,
        row.body,
        json.dumps(dict(row.attributes)),
        *claim.arguments,
    )
    return len(inserted) == 1


async def insert_once(
    connections: Connections, order: Order, payload: OrderEvent, row: EventRow, claim: ClaimClause
) -> bool:
    """Insert the order in a transaction of its own, also if the first connection turns out to be dead.

    Then it is unknown whether the statement was executed, and it is repeated once on another connection. Both have the
    same ids, so at most one of them inserts: the second waits for the first, and finds what it committed.
    """
    try:
        async with connections() as connection:
            return await insert(connection.fetch, order, payload, row, claim)
    except Exception as error:
        if not connection_lost(error):
            raise
    async with connections() as connection:
        try:
            return await insert(connection.fetch, order, payload, row, claim)
        except asyncpg.UniqueViolationError:
            if not await connection.fetch(IS_INSERTED, order.id):
                raise
            return True
