"""Reads from the databases what was committed, what took effect, and what waits for a person."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.payloads import facts_of
from tests.faults.system import System
from tests.support.databases import execute

COMMITTED = """
SELECT convert_from(envelope, 'UTF8') AS envelope, published_at IS NOT NULL AS published
FROM outbox_event WHERE id > $1 ORDER BY id
"""
EFFECTS = """
SELECT event_id AS event, subject AS "group", sequence, hash, stale, extract(epoch FROM at)::float8 AS at
FROM effect WHERE id > $2 AND correlation LIKE $1 ORDER BY id
"""
HELD = """
SELECT event_id::text AS event, convert_from(envelope, 'UTF8')::json ->> 'correlationid' AS key
FROM outbox_event WHERE held_at IS NOT NULL
"""
DEFERRED = """
SELECT event_id AS event, status, convert_from(envelope, 'UTF8') AS envelope FROM deferred_message ORDER BY id
"""
UNCONFIRMED = """
SELECT count(*) FROM outbox_event
WHERE id > $2 AND published_at IS NULL AND held_at IS NULL
  AND convert_from(envelope, 'UTF8')::json ->> 'correlationid' LIKE $1
"""
COUNT = "SELECT count(*) FROM effect WHERE id > $2 AND correlation LIKE $1"
PUBLISHED = "DELETE FROM outbox_event WHERE published_at IS NOT NULL AND held_at IS NULL"
NEWEST = "SELECT coalesce(max(id), 0) FROM {table}"


async def forget_published(system: System) -> None:
    """Delete the published events of earlier runs, as the retention does. A replay of everything is then one of this
    run, and takes as long whichever faults came before it."""
    await execute(system.orders.url, PUBLISHED)


async def begin_run(system: System) -> None:
    """Read only later rows from now on: a soak has many runs on the same tables."""
    ((system.first_event,),) = await system.orders_rows.fetch(NEWEST.format(table="outbox_event"))
    ((system.first_effect,),) = await system.sink_rows.fetch(NEWEST.format(table="effect"))


async def committed_rows(system: System, prefix: str) -> list[dict[str, Any]]:
    """The events of the run in the outbox."""
    rows = await system.orders_rows.fetch(COMMITTED, system.first_event)
    found = [{**facts_of(json.loads(row["envelope"])), "published": row["published"]} for row in rows]
    return [row for row in found if str(row["key"]).startswith(prefix)]


async def effect_rows(system: System, prefix: str) -> list[dict[str, Any]]:
    """The effects of the run, in the order of their transactions within a group."""
    return [dict(row) for row in await system.sink_rows.fetch(EFFECTS, f"{prefix}%", system.first_effect)]


async def effect_count(system: System, prefix: str) -> int:
    """How many effects the run has."""
    ((count,),) = await system.sink_rows.fetch(COUNT, f"{prefix}%", system.first_effect)
    return int(count)


async def unresolved_rows(system: System, prefix: str) -> list[dict[str, Any]]:
    """The events of the run that wait for a person."""
    held = await system.orders_rows.fetch(HELD)
    found = [{"event": row["event"], "where": "held groups"} for row in held if str(row["key"]).startswith(prefix)]
    deferred = [row for row in await system.sink_rows.fetch(DEFERRED) if _belongs(row["envelope"], prefix)]
    return found + [{"event": row["event"], "where": f"deferred messages ({row['status']})"} for row in deferred]


async def undrained(system: System, prefix: str, *, confirmed: bool) -> str:
    """What is not processed yet, in words; empty when nothing is left."""
    committed = {row["event"] for row in await committed_rows(system, prefix)}
    done = {row["event"] for row in await effect_rows(system, prefix)}
    unresolved = {row["event"] for row in await unresolved_rows(system, prefix) if "waiting" not in row["where"]}
    if left := committed - done - unresolved:
        return f"{len(left)} of {len(committed)} events have no effect: {sorted(left)[:3]}"
    if confirmed:
        (row,) = await system.orders_rows.fetch(UNCONFIRMED, f"{prefix}%", system.first_event)
        if row[0]:
            return f"{row[0]} of {len(committed)} events are not confirmed"
    return ""


def _belongs(envelope: str, prefix: str) -> bool:
    try:
        return str(json.loads(envelope)["correlationid"]).startswith(prefix)
    except (ValueError, KeyError, TypeError):
        return False
